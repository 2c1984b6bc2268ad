"""Small HTTP servers with configurable responses, each in its own thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.harness.certificates import Certificates


@dataclass(frozen=True)
class Seen:
    """One received request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    head: bytes = b""


Answer = bytes | Callable[[Seen], bytes]


def reply(status: int = 200, body: bytes | str = b"{}", **headers: str) -> bytes:
    """A complete response; for example ``reply(302, location="…")``."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass
class Server:
    """Sends ``answer`` for each request; ``b""`` closes the connection, ``None`` sends nothing."""

    certificates: Certificates | None = None
    host: str = "127.0.0.1"
    answer: Answer | None = field(default_factory=reply)
    handshakes: bool = True
    seen: list[Seen] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Server:
        self._listening = socket.create_server((self.host, 0))
        self.port: int = self._listening.getsockname()[1]
        self._context: ssl.SSLContext | None = None
        if self.certificates is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(self.certificates.cert_file, self.certificates.key_file)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in [self._listening, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificates else ''}://{self.host}:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                if not self.handshakes:
                    self.asked.set()
                    return
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock.makefile("rb") as stream:
                head = line = stream.readline()
                if not line:
                    return  # connected without a request
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (line := stream.readline()).strip():
                    head += line
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                if headers.get("transfer-encoding") == "chunked":
                    while size := int(stream.readline(), 16):
                        body += stream.read(size)
                        stream.readline()
                    stream.readline()
            request = Seen(method, target, headers, body, head)
            self.seen.append(request)
            self.asked.set()
            answer = self.answer(request) if callable(self.answer) else self.answer
            if answer is not None:
                sock.sendall(answer)
                sock.close()
