"""The part of an LDAP server that PostgreSQL needs to check a password: simple binds (RFC 4511)."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

BIND_REQUEST, BIND_RESPONSE = 0x60, 0x61
SUCCESS, INVALID_CREDENTIALS = 0, 49


@contextmanager
def running_ldap_server(accepts: Callable[[str, str], bool]) -> Iterator[int]:
    """Start the server on loopback; yields its port. ``accepts`` gets a name and a password."""

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while message := _element(self.rfile):
                number, rest = _split(message[1])
                kind, bind = _split(rest)[0]
                if number[0] != 2 or kind != BIND_REQUEST:
                    return  # an unbind request, or what PostgreSQL does not send
                _, after = _split(bind)  # the version
                (_, name), after = _split(after)
                (_, password), _ = _split(after)
                good = accepts(name.decode(), password.decode())
                result = _packed(10, bytes([SUCCESS if good else INVALID_CREDENTIALS]))
                response = _packed(BIND_RESPONSE, result + _packed(4, b"") + _packed(4, b""))
                self.wfile.write(_packed(0x30, _packed(2, number[1]) + response))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Connection) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


Element = tuple[int, bytes]
"""The tag and the content of an element in the Basic Encoding Rules."""


def _element(stream: IO[bytes]) -> Element | None:
    head = stream.read(2)
    if len(head) < 2:
        return None
    size = head[1]
    if size & 0x80:
        size = int.from_bytes(stream.read(size & 0x7F), "big")
    return head[0], stream.read(size)


def _split(data: bytes) -> tuple[Element, bytes]:
    """The first element, and what follows it."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    return (data[0], data[at : at + size]), data[at + size :]


def _packed(tag: int, content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([tag, len(content)]) + content
