"""Clients that keep a listener busy without completing a request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HALVES = [
    b"GET /?code=",
    b"GET / HTTP/1.1\r\nHost: localhost:1\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 100\r\n\r\ncode=",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
]
TEN_GIGABYTES = b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 10000000000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost:1\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
HEADERS = b"GET / HTTP/1.1\r\nHost: localhost:1\r\n"


@dataclass
class Crowd:
    """A number of clients of each kind at one port; a disconnected client reconnects at once."""

    port: int
    idle: int
    half: int
    slow: int
    endless: int
    sockets: list[socket.socket] = field(default_factory=list)
    came_back: int = 0
    sent: int = 0

    @contextmanager
    def around(self) -> Iterator[None]:
        """Keep them all connected until the end."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._drip, args=(stop,))]
        for first, more in [
            (TEN_GIGABYTES, b"a" * 65_536),
            (CHUNKED, CHUNK),
            (HEADERS, b"X: y\r\n"),
        ]:
            threads += [
                threading.Thread(target=self._flood, args=(stop, first, more))
                for _ in range(self.endless)
            ]
        self.sockets = [self._connect(b"") for _ in range(self.idle)]
        self.sockets += [self._connect(HALVES[n % len(HALVES)]) for n in range(self.half)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            for sock in self.sockets:
                sock.close()

    def _connect(self, first: bytes) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        sock.settimeout(0.5)
        sock.sendall(first)
        return sock

    def _drip(self, stop: threading.Event) -> None:
        """One byte a second on each of the slow connections."""
        request = HEADERS + b"X: " + b"a" * 1000
        self._each(stop, self.slow, lambda sock, turn: sock.sendall(request[turn : turn + 1]), 1.0)

    def _flood(self, stop: threading.Event, first: bytes, more: bytes) -> None:
        def send(sock: socket.socket, turn: int) -> None:
            sock.sendall(more if turn else first)
            self.sent += len(more)

        self._each(stop, 1, send, 0.001)

    def _each(
        self,
        stop: threading.Event,
        many: int,
        send: Callable[[socket.socket, int], None],
        pause: float,
    ) -> None:
        turns: dict[socket.socket, int] = {}
        while not stop.is_set():
            try:
                while len(turns) < many:
                    turns[self._connect(b"")] = 0
            except OSError:  # the port is closed
                break
            for sock in list(turns):
                try:
                    send(sock, turns[sock])
                    turns[sock] += 1
                except OSError:  # disconnected
                    sock.close()
                    del turns[sock]
                    self.came_back += 1
            stop.wait(pause)
        for sock in turns:
            sock.close()
