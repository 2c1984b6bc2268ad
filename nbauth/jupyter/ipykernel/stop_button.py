"""The notebook's stop button, while a cell waits.

The button sends SIGINT. Python raises ``KeyboardInterrupt`` wherever the main thread happens to be,
and a message is then lost half read, or a stream of ZeroMQ reads nothing any more; inside a
destructor, such as that of a ZeroMQ frame, the exception itself is dropped. So a press is noted,
and takes effect where it does no harm.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopButton:
    """Notes SIGINT from :meth:`begin` to :meth:`end`; does nothing outside the main thread."""

    def __init__(self) -> None:
        self._before: Any = None
        self._pressed = 0
        self._enough: int | None = None

    def begin(self) -> None:
        """Take the place of the handler of SIGINT, if that is a function."""
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)

    def end(self) -> None:
        """Put the handler back. A second call does no harm."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def pass_on(self) -> None:
        """Do what a press was for, if there was one.

        Raises ``KeyboardInterrupt`` in a plain cell. In one that awaits, ipykernel's handler has
        the cell cancelled at its next ``await``; as nothing is awaited here, ``CancelledError``
        ends the wait, which unlike an interrupt may cross any task and the kernel's event loop.
        """
        if self._pressed:
            self._before(signal.SIGINT, None)
            raise asyncio.CancelledError("interrupted")

    @contextmanager
    def interrupts(self, presses: int) -> Iterator[None]:
        """Let so many presses interrupt what runs in the ``with`` block, wherever it is.

        Those noted before count, once another comes: the block begins in any case. They stay noted,
        so that :meth:`pass_on` acts where the interrupt was dropped or caught.
        """
        before, self._enough = self._enough, presses
        try:
            yield
        finally:
            self._enough = before

    def interrupt_nothing(self) -> None:
        """Only note presses from here on, also where :meth:`interrupts` was kept from ending."""
        self._enough = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pressed += 1
        if self._enough is not None and self._pressed >= self._enough:
            self.pass_on()


@contextmanager
def held_back() -> Iterator[None]:
    """Let a press take effect at the end of the ``with`` block, where it does no harm."""
    button = StopButton()
    try:
        button.begin()
        yield
    finally:
        button.end()
    button.pass_on()
