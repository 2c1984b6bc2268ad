"""An HTTP/1.1 server with kept connections that records every request; one thread a connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import BinaryIO
from urllib.parse import unquote

from tests.harness.certificates import Certificates
from tests.harness.graph.replies import Reply

BOUND = 60.0  # the longest wait for a client, in seconds


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived.

    Attributes:
        target: the exact bytes between the method and the HTTP version.
        headers: by lower-case name.
        head: the exact bytes of the request line and the headers.
        at: ``time.monotonic()`` at its arrival.
        root: the address of the server that got it.
        connection: tells the connections apart.
        batch: of a member of a batch: the number of the batch, counted from 1.
    """

    method: str
    target: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    head: bytes = b""
    at: float = field(default_factory=time.monotonic)
    root: str = ""
    connection: int = 0
    batch: int = 0

    @property
    def url(self) -> str:
        return self.root + self.target.decode("latin-1")

    @property
    def raw_path(self) -> str:
        return self.target.decode("latin-1").partition("?")[0]

    @property
    def path(self) -> str:
        """The decoded path; a decoded slash cannot be told from others here."""
        return unquote(self.raw_path)

    @property
    def raw_query(self) -> str:
        return self.target.decode("latin-1").partition("?")[2]

    @property
    def token(self) -> str | None:
        """The bearer token, if the request has one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None


Handler = Callable[[Recorded], Reply]


def not_found(request: Recorded) -> Reply:
    return Reply(404)


@cache
def tls(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    return context


class Listener:
    """Serves ``handler`` on a free port of loopback until ``stop()``.

    Attributes:
        requests: all requests in the order of their arrival.
        errors: of the handler; each is a mistake in a test or in this server.
        connections: how many connections were accepted.
        peak: the largest number of requests that were served at the same time.
        latency: seconds before each response.
        body_limit: how many bytes of a request's body to read before the connection closes.
    """

    def __init__(
        self,
        handler: Handler = not_found,
        certificates: Certificates | None = None,
        name: str = "127.0.0.1",
    ) -> None:
        self.handler = handler
        self.latency: Callable[[Recorded], float] = lambda _: 0.0
        self.body_limit: Callable[[Recorded], int | None] = lambda _: None
        self._context = None if certificates is None else tls(certificates)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.root = f"http{'s' if certificates else ''}://{name}:{self.port}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._active = 0
        self.clear()
        self._thread = threading.Thread(target=self._accept, daemon=True, name="graph-accept")
        self._thread.start()

    def clear(self) -> None:
        """Forget what was recorded."""
        self.requests: list[Recorded] = []
        self.errors: list[Exception] = []
        self.connections = self.peak = 0

    def stop(self) -> None:
        self._stopped.set()
        self.drop_connections()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def drop_connections(self) -> None:
        """Close all connections, as a proxy does with idle ones."""
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            arguments = (sock, self.connections)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            sock.settimeout(BOUND)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            self._open.add(sock)
            try:
                with sock.makefile("rb") as stream:
                    while not self._stopped.is_set() and self._exchange(sock, stream, number):
                        pass
            finally:
                self._open.discard(sock)
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def _exchange(self, sock: socket.socket, stream: BinaryIO, number: int) -> bool:
        """Serve one request; false when the connection ends."""
        request = self._read(stream, number)
        if request is None:
            return False
        with self._lock:
            self._active += 1
            self.peak = max(self.peak, self._active)
        try:
            reply = self._handled(request)
            if wait := self.latency(request) + reply.delay:
                self._sleep(wait)
        finally:
            with self._lock:
                self._active -= 1
        return self._send(sock, request, reply)

    def _handled(self, request: Recorded) -> Reply:
        try:
            return self.handler(request)
        except Exception as error:
            self.errors.append(error)
            return Reply(500, f"the local Graph failed: {error!r}")

    def _sleep(self, seconds: float) -> None:
        if seconds < 0.5:
            time.sleep(seconds)
        else:
            self._stopped.wait(seconds)

    def _read(self, stream: BinaryIO, number: int) -> Recorded | None:
        head = line = stream.readline(65_536)
        if not line:
            return None
        method, target, _ = line.rstrip(b"\r\n").split(b" ", 2)
        headers: dict[str, str] = {}
        while (line := stream.readline(65_536)) not in (b"\r\n", b"\n", b""):
            head += line
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        request = Recorded(
            method.decode("latin-1"), target, headers, b"", head, root=self.root, connection=number
        )
        limit = self.body_limit(request)
        size = int(headers.get("content-length", 0))
        body = stream.read(size if limit is None else min(size, limit))
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while chunk := int(stream.readline(), 16):
                body += stream.read(chunk)
                stream.readline()
            stream.readline()
        whole = Recorded(**{**request.__dict__, "body": body})
        self.requests.append(whole)
        return whole if limit is None and len(body) >= size else None

    def _send(self, sock: socket.socket, request: Recorded, reply: Reply) -> bool:
        """Send the response; false when the connection ends with it."""
        if reply.cut is not None and reply.cut < 0:
            return False
        head, body = reply.rendered(str(uuid.uuid4()), head_only=request.method == "HEAD")
        if reply.cut is not None:
            body = body[: reply.cut]
        if reply.pace:
            sock.sendall(head)
            for position in range(len(body)):
                if self._stopped.wait(reply.pace):
                    return False
                sock.sendall(body[position : position + 1])
        else:
            sock.sendall(head + body)
        if reply.cut is not None:
            return False
        return request.headers.get("connection", "").lower() != "close"
