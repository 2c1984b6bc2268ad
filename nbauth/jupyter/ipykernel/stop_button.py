"""The notebook's stop button, while a cell waits.

The button sends SIGINT, and Python raises ``KeyboardInterrupt`` at any line of the main thread.
There, a partly read message would be lost, or a stream of ZeroMQ would stop reading. In a
destructor, such as that of a ZeroMQ frame, Python drops the exception. So a press is recorded and
takes effect at a safe line.
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
    """Records SIGINT from :meth:`begin` to :meth:`end`. Has no effect outside the main thread."""

    def __init__(self) -> None:
        self._before: Any = None
        self._pressed = 0
        self._threshold: int | None = None

    def begin(self) -> None:
        """Replace the handler of SIGINT if it is a function."""
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)

    def end(self) -> None:
        """Restore the handler. May be called twice."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def deliver(self) -> None:
        """Let a recorded press take effect.

        Raises ``KeyboardInterrupt`` in a cell without ``await``. In a cell with ``await``,
        ipykernel's handler cancels the cell at its next ``await``. Nothing is awaited here, so
        ``CancelledError`` ends the wait. It may pass through any task and the kernel's event loop;
        an interrupt may not.
        """
        if self._pressed:
            self._before(signal.SIGINT, None)
            raise asyncio.CancelledError("interrupted")

    @contextmanager
    def interrupts(self, presses: int) -> Iterator[None]:
        """Let the given number of presses interrupt the ``with`` block at any line.

        Presses recorded before the block count, but only after another press: the block always
        begins. They stay recorded, so that :meth:`deliver` has an effect even if the interrupt was
        dropped or caught.
        """
        before, self._threshold = self._threshold, presses
        try:
            yield
        finally:
            self._threshold = before

    def interrupt_nothing(self) -> None:
        """Only record presses from now on, even if :meth:`interrupts` could not end."""
        self._threshold = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pressed += 1
        if self._threshold is not None and self._pressed >= self._threshold:
            self.deliver()


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Let a press take effect only at the end of the ``with`` block."""
    button = StopButton()
    try:
        button.begin()
        yield
    finally:
        button.end()
    button.deliver()
