"""The stop button in a kernel whose own handler of SIGINT is native code.

xeus-python's handler ends the process, although ``signal.getsignal`` returns Python's handler.
While a cell waits, this module only records that the stop button was pressed. If xeus-python waits
for a line of input, that wait then fails with ``RuntimeError``. A handler that raised
``KeyboardInterrupt`` would raise it at an arbitrary later line, and in a task it would end the
kernel's event loop.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Sigint:
    """Records SIGINT in the main thread while a caller waits."""

    def __init__(self) -> None:
        self._presses = 0
        self._waiting = 0
        self._restore: Callable[[], None] = _nothing

    @contextmanager
    def noted(self) -> Iterator[Callable[[], bool]]:
        """Yield a function that returns whether the stop button was pressed in this ``with`` block.

        Blocks may overlap. Outside the main thread they have no effect.
        """
        if threading.current_thread() is not threading.main_thread():
            yield lambda: False
            return
        before = self._presses
        self._waiting += 1
        try:
            if self._waiting == 1:
                self._restore = _handle_by(self._note)
            yield lambda: self._presses > before
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._restore()

    def _note(self, number: int, frame: Any) -> None:
        self._presses += 1


def _handle_by(handler: Callable[[int, Any], Any]) -> Callable[[], None]:
    """Install a handler if SIGINT has one. Returns a function that restores the old handler."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or not hasattr(ctypes, "pythonapi"):
        return _nothing
    native = _python_api("PyOS_getsig", signal.SIGINT)
    signal.signal(signal.SIGINT, handler)

    def restore() -> None:
        signal.signal(signal.SIGINT, before)
        _python_api("PyOS_setsig", signal.SIGINT, native)

    return restore


def _nothing() -> None:
    pass


def _python_api(name: str, number: int, *handler: int | None) -> int | None:
    """Call a function of Python's C API that sets or returns the address of a signal handler."""
    types = (ctypes.c_int, *[ctypes.c_void_p] * len(handler))
    function = ctypes.PYFUNCTYPE(ctypes.c_void_p, *types)((name, ctypes.pythonapi))
    given: int | None = function(number, *handler)
    return given
