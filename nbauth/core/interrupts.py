"""An interrupt is an interrupt, whatever the standard library makes of it."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

Result = TypeVar("Result")
_LOOK_EVERY = 0.5  # seconds; a wait without end would not notice an interrupt on Windows


class Flag:
    """What ``threading.Event`` is, in order whatever an interrupt does to it.

    An interrupt in ``Event.set`` or ``Event.wait`` may leave the lock in it held, and then each
    later call waits for ever, one with a time-out too. Here nothing is held while the flag is
    changed, and who waits looks at it now and then, so that a lost wake-up costs a moment.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._bell = threading.Lock()  # open to one who waits
        self._bell.acquire()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Let everybody through who waits, or comes later."""
        self._is_set = True
        self._ring()

    def clear(self) -> None:
        """Hold them up again."""
        self._is_set = False
        self._bell.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set or ``timeout`` seconds have passed; whether it is set."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._is_set:
            left = _LOOK_EVERY if end is None else min(_LOOK_EVERY, end - time.monotonic())
            if left <= 0:
                break
            if self._bell.acquire(timeout=left) and self._is_set:
                self._ring()  # for the next one who waits
        return self._is_set

    def _ring(self) -> None:
        with suppress(RuntimeError):  # it is open
            self._bell.release()


def join(thread: threading.Thread, seconds: float) -> None:
    """``Thread.join``. Before Python 3.13 an interrupt in it may end as a ``RuntimeError``: its own
    clean-up then releases a lock that it does not hold."""
    try:
        thread.join(seconds)
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


@contextmanager
def true_interrupts() -> Iterator[None]:
    """Around ``Thread.start`` in the main thread.

    It waits with a lock that it releases in between. An interrupt at that moment comes out of
    CPython as ``RuntimeError: release unlocked lock``; it is raised as what it was.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def apart(call: Callable[[], Result]) -> Result:
    """The outcome of a call that an interrupt does not break off.

    Python raises ``KeyboardInterrupt`` in the main thread only, so there the call gets a thread of
    its own. Who waits is interrupted; the call goes on to its end.
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
