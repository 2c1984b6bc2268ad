"""A connection between a kernel and its worker process: messages in time, and proof of the key."""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import struct
import sys
import time
from multiprocessing import process
from typing import Any, Protocol

from nbauth.kernel.asking.channel import SILENCE

MOST = 256 * 1024
"""Bytes of a question or an answer."""
NONCE = 32
_LENGTH = struct.Struct("!I")
_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)  # a program may have restored SIGPIPE, which kills it


class WrongKey(Exception):
    """The other end does not know multiprocessing's key."""


class Wire(Protocol):
    """One end of a connection. Its methods raise ``OSError``, and ``TimeoutError`` in time."""

    def send(self, data: bytes) -> None:
        """Send a message."""

    def receive(self, most: int = MOST, seconds: float = SILENCE) -> bytes:
        """Receive a message of at most so many bytes. Raises ``EOFError``, ``ValueError``."""

    def close(self) -> None:
        """End the connection, for other processes that have inherited it too."""

    def drop(self) -> None:
        """Close it in a forked child: the parent uses it."""


class SocketWire:
    """A connection over a socket; see :class:`Wire`."""

    def __init__(self, of: socket.socket) -> None:
        self._of = of

    def send(self, data: bytes) -> None:
        self._of.settimeout(SILENCE)  # for all of it
        self._of.sendall(_LENGTH.pack(len(data)) + data, _FLAGS)

    def receive(self, most: int = MOST, seconds: float = SILENCE) -> bytes:
        end = time.monotonic() + seconds
        (size,) = _LENGTH.unpack(self._read(_LENGTH.size, end))
        if size > most:
            raise ValueError("the message is too long")
        return self._read(size, end)

    def _read(self, size: int, end: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._of.settimeout(max(end - time.monotonic(), 0.001))
            if not (part := self._of.recv(size - len(data))):
                raise EOFError
            data += part
        return bytes(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._of.shutdown(socket.SHUT_RDWR)
        self._of.close()

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._of.close()


class PipeWire:
    """A connection over a named pipe of Windows; see :class:`Wire`."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def send(self, data: bytes) -> None:
        self._of.send_bytes(data)

    def receive(self, most: int = MOST, seconds: float = SILENCE) -> bytes:
        if not self._of.poll(seconds):
            raise TimeoutError
        data: bytes = self._of.recv_bytes(most)
        return data

    def close(self) -> None:
        self._of.close()

    def drop(self) -> None:
        self._of.close()


def meet(wire: Wire, seconds: float = SILENCE) -> tuple[bytes, bytes]:
    """Exchange random numbers; return one's own and the other's."""
    mine = os.urandom(NONCE)
    wire.send(mine)
    return mine, wire.receive(NONCE, seconds)


def prove(wire: Wire, numbers: tuple[bytes, bytes], address: str, *, asks: bool) -> None:
    """Prove to each other the knowledge of multiprocessing's key. Raises :class:`WrongKey`.

    multiprocessing's own proof uses MD5 in Python 3.11, which some machines refuse.

    Args:
        wire: the connection.
        numbers: of :func:`meet`.
        address: to which the connection was made. It is proved too, so that nobody who listens at
            another address can pass the messages on.
        asks: whether this end asks; that end proves first.
    """
    mine, theirs = numbers
    both = mine + theirs if asks else theirs + mine
    key = bytes(process.current_process().authkey)

    def proof(who: bytes) -> bytes:
        return hmac.digest(key, b"nbauth " + who + both + address.encode(), "sha256")

    if asks:
        wire.send(proof(b"asks"))
    if not hmac.compare_digest(wire.receive(NONCE), proof(b"answers" if asks else b"asks")):
        raise WrongKey
    if not asks:
        wire.send(proof(b"answers"))


def of_another_user(of: socket.socket) -> bool:
    """Whether a process of another user has connected. The abstract namespace is open to all."""
    if sys.platform != "linux":
        return False
    found = of.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user, mine = struct.unpack("3i", found)[1], os.getuid()
    return mine != 0 and user not in (0, mine)
