"""An interrupt is an interrupt, whatever the standard library makes of it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")
_LOOK_EVERY = 1.0  # seconds; a wait without end would not notice an interrupt on Windows


@contextmanager
def true_interrupts() -> Iterator[None]:
    """Around ``Thread.start`` and ``Event.wait`` in the main thread.

    They wait with a lock that they release in between. An interrupt at that moment comes out of
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
    ended = threading.Event()
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
    with true_interrupts():
        while not ended.wait(_LOOK_EVERY):
            pass
    if failed:
        raise failed[0]
    return brought[0]
