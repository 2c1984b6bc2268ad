"""Asks a kernel of the same machine, over the pipe at which it answers its worker processes."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from nbauth.kernel.asking.channel import SILENCE, gone, silent
from nbauth.kernel.asking.wire import PipeWire, SocketWire, Wire, WrongKey, meet, prove

AGAIN = 0.05
"""Seconds between attempts to connect with a kernel that many processes ask."""


class Pipe:
    """A :class:`.channel.Channel` to a kernel of this machine.

    Both ends prove that they know multiprocessing's key, which this process got when it was
    started.

    Args:
        address: of the kernel's pipe.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, session: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """See :class:`.channel.Channel`."""
        try:
            wire, numbers = self._met()
            try:
                prove(wire, numbers, self._address, asks=True)
                wire.send(json.dumps(question).encode())
                while not (answer := json.loads(wire.receive())):
                    pass  # a sign of life
            finally:
                wire.close()
        except TimeoutError:
            raise silent() from None
        except (OSError, EOFError, ValueError, WrongKey):
            raise gone() from None
        answered: Mapping[str, Any] = answer
        return answered

    def _met(self) -> tuple[Wire, tuple[bytes, bytes]]:
        """A connection on which the kernel has answered."""
        end = time.monotonic() + SILENCE
        while True:
            try:
                wire = _connected(self._address, end)
                try:
                    return wire, meet(wire, max(end - time.monotonic(), 0.0))
                except BaseException:
                    wire.close()
                    raise
            except (BlockingIOError, ConnectionResetError, BrokenPipeError, EOFError):
                # Too many processes wait there. If it has ended instead, the next attempt fails.
                if time.monotonic() > end:
                    raise TimeoutError from None
                time.sleep(AGAIN)


def _connected(address: str, end: float) -> Wire:
    if sys.platform == "win32":
        return _connected_on_windows(address)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(max(end - time.monotonic(), 0.001))
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return SocketWire(made)


def _connected_on_windows(address: str) -> Wire:
    from multiprocessing import connection

    try:
        return PipeWire(connection.Client(address))
    except OSError as error:
        if getattr(error, "winerror", 0) in (121, 231):  # ERROR_SEM_TIMEOUT, ERROR_PIPE_BUSY
            raise TimeoutError from None
        raise
