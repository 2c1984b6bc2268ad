"""Waiting, joining and starting threads without losing a ``KeyboardInterrupt``.

The standard library may leave a lock held, or raise ``RuntimeError``, if an interrupt arrives in
``Event.wait``, ``Thread.join`` or ``Thread.start``.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

Result = TypeVar("Result")
_LOOK_EVERY = 0.5  # seconds; on Windows, a wait without a time-out would not notice an interrupt


class Flag:
    """A ``threading.Event`` that stays usable after an interrupt.

    An interrupt in ``Event.set`` or ``Event.wait`` may leave its internal lock held. Every later
    call then waits for ever, even with a time-out. This class holds no lock while the flag changes,
    and waiting threads poll the flag, so a lost wake-up costs at most half a second.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._bell = threading.Lock()  # released to wake one waiting thread
        self._bell.acquire()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Wake all waiting threads; later waits return at once."""
        self._is_set = True
        self._ring()

    def clear(self) -> None:
        """Reset the flag; later waits block again."""
        self._is_set = False
        self._bell.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, at most ``timeout`` seconds; return whether it is set."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._is_set:
            left = _LOOK_EVERY if end is None else min(_LOOK_EVERY, end - time.monotonic())
            if left <= 0:
                break
            if self._bell.acquire(timeout=left) and self._is_set:
                self._ring()  # wake the next waiting thread
        return self._is_set

    def _ring(self) -> None:
        with suppress(RuntimeError):  # already released
            self._bell.release()


def join(thread: threading.Thread, seconds: float) -> None:
    """``Thread.join``. Before Python 3.13 an interrupt in it may come out as a ``RuntimeError``,
    because its clean-up releases a lock that it does not hold."""
    try:
        thread.join(seconds)
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


@contextmanager
def true_interrupts() -> Iterator[None]:
    """Raise an interrupt in ``Thread.start`` as ``KeyboardInterrupt``.

    ``Thread.start`` waits with a lock. An interrupt at that moment comes out of CPython as
    ``RuntimeError: release unlocked lock``.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def apart(call: Callable[[], Result]) -> Result:
    """Make a call that an interrupt does not abort, and return its result.

    Python raises ``KeyboardInterrupt`` in the main thread only, so from there the call runs in
    another thread. An interrupt ends the wait for it; the call itself continues to its end.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    ended = Flag()
    brought: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            brought.append(call())
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="nbauth-apart", daemon=True)
    try:
        with true_interrupts():
            thread.start()
    except RuntimeError:  # the interpreter is shutting down
        return call()
    ended.wait()
    if failed:
        raise failed[0]
    return brought[0]
