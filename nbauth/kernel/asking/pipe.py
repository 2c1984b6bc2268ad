"""Asks a kernel of the same machine, over the pipe at which it answers its worker processes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from multiprocessing import AuthenticationError, connection, process
from typing import Any

from nbauth.kernel.asking.channel import SILENCE, gone, silent

MOST = 256 * 1024
"""Bytes of a question or an answer."""


class Timed:
    """A connection of multiprocessing whose other end has to say something in time."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def send_bytes(self, data: bytes) -> None:
        """Send a message."""
        self._of.send_bytes(data)

    def recv_bytes(self, most: int = MOST) -> bytes:
        """Receive a message. Raises ``TimeoutError`` after :data:`SILENCE`, ``EOFError``."""
        if not self._of.poll(SILENCE):
            raise TimeoutError
        data: bytes = self._of.recv_bytes(most)
        return data

    def close(self) -> None:
        """Close it."""
        self._of.close()


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
        key = bytes(process.current_process().authkey)
        try:
            found: Any = Timed(_connected(self._address))
        except TimeoutError:
            raise silent() from None
        except OSError:
            raise gone() from None
        try:
            connection.answer_challenge(found, key)
            connection.deliver_challenge(found, key)
            found.send_bytes(json.dumps(question).encode())
            while not (answer := json.loads(found.recv_bytes())):
                pass  # a sign of life
        except TimeoutError:
            raise silent() from None
        except (OSError, EOFError, ValueError, AuthenticationError):
            raise gone() from None
        finally:
            found.close()
        answered: Mapping[str, Any] = answer
        return answered


def _connected(address: str) -> Any:
    """A connection of multiprocessing to this address."""
    if address.startswith("\\\\"):  # a named pipe of Windows
        return connection.Client(address)
    end = time.monotonic() + SILENCE
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(SILENCE)
        while True:
            try:
                made.connect(address)
                break
            except BlockingIOError:  # too many processes wait there
                if time.monotonic() > end:
                    raise TimeoutError from None
                time.sleep(0.05)
        made.setblocking(True)
        return connection.Connection(made.detach())
