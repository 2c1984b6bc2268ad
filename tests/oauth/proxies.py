"""Proxies on loopback: one for CONNECT, and one for SOCKS 5 (RFC 1928)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field


def pump(one: socket.socket, other: socket.socket) -> None:
    """Copy in both directions until one side closes."""

    def over(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=over, args=(one, other), daemon=True)
    thread.start()
    over(other, one)


@dataclass
class Proxy:
    """A proxy that calls ``connect`` for each host and records the heads of all requests.

    A ``status`` other than 200 is returned for each CONNECT; SOCKS requires ``password``.
    """

    status: int = 200
    socks: bool = False
    password: bytes = b""
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Proxy:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._open = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    @property
    def url(self) -> str:
        return f"{'socks5h' if self.socks else 'http'}://{self.place}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self._open.append(sock)
                serve = self._serve_socks if self.socks else self._serve
                threading.Thread(target=self._safely, args=(serve, sock), daemon=True).start()

    def _safely(self, serve: object, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            serve(sock)  # type: ignore[operator]
        sock.close()

    def _connect(self, sock: socket.socket, host: str, port: int, yes: bytes) -> None:
        beyond = socket.create_connection((host, port))
        self._open.append(beyond)
        sock.sendall(yes)
        pump(sock, beyond)

    def _serve(self, sock: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(65_536)
            if not data:
                return
            head += data
        self.asked.append(head.decode("latin-1"))
        if self.status != 200:
            sock.sendall(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n\r\n".encode())
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        self._connect(sock, host.strip("[]"), int(port), b"HTTP/1.1 200 OK\r\n\r\n")

    def _serve_socks(self, sock: socket.socket) -> None:
        stream = sock.makefile("rb", buffering=0)
        _, count = stream.read(2)
        stream.read(count)
        sock.sendall(b"\x05\x02" if self.password else b"\x05\x00")
        if self.password:
            _, length = stream.read(2)
            stream.read(length)
            given = stream.read(stream.read(1)[0])
            sock.sendall(b"\x01\x00" if given == self.password else b"\x01\x01")
            if given != self.password:
                return
        by_name = stream.read(4)[3] == 3
        host = (
            stream.read(stream.read(1)[0]).decode() if by_name else socket.inet_ntoa(stream.read(4))
        )
        (port,) = struct.unpack("!H", stream.read(2))
        self.asked.append(f"{host}:{port}")
        if self.status != 200:
            sock.sendall(b"\x05\x02\x00\x01" + bytes(6))  # not allowed by the rules
            return
        self._connect(sock, host, port, b"\x05\x00\x00\x01" + bytes(6))
