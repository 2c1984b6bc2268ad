"""Calls in other threads, and waits that can be stopped."""

from __future__ import annotations

import contextvars
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, TypeVar

from nbauth.core.interrupts import Flag, true_interrupts

Result = TypeVar("Result")

stopped: ContextVar[Flag | None] = ContextVar("stopped", default=None)
"""Set in the thread of an awaited call, whose task may be cancelled."""
_LOOK_EVERY = 0.2
"""Seconds after which a waiting thread looks whether its task was cancelled."""


class OwnersFlag(Flag):
    """A flag that also counts as set when its owner has been dropped.

    ``__del__`` of the owner could not set it: Python ignores an interrupt that arrives there.
    """

    def __init__(self, owner: object) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)

    def is_set(self) -> bool:
        return super().is_set() or self._owner() is None

    def wait(self, timeout: float | None = None) -> bool:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            super().wait(min(left, _LOOK_EVERY))
        return self.is_set()


class Stopped(Exception):
    """The task that waits for this thread was cancelled."""


def pause(seconds: float) -> None:
    """Sleep. Raises ``Stopped`` if the task of this thread was cancelled."""
    flag = stopped.get()
    if flag is None:
        time.sleep(max(seconds, 0))
    elif flag.wait(seconds):
        raise Stopped


def check_stopped() -> None:
    """Raise ``Stopped`` if the task of this thread was cancelled."""
    flag = stopped.get()
    if flag is not None and flag.is_set():
        raise Stopped


class Later(Generic[Result]):
    """A call that runs in another thread from now on.

    In a forked child, where that thread does not exist, :meth:`result` makes the call itself.

    Args:
        call: what to call.
        ended: called in that thread at the end.
    """

    def __init__(self, call: Callable[[], Result], ended: Callable[[], None] | None = None) -> None:
        self._call = call
        self._done = Flag()
        self._process = os.getpid()
        self._ended = ended
        self._results: list[Result] = []
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._run,), name="nbauth-graph", daemon=True
        )
        with true_interrupts():
            thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()
            if self._ended is not None:
                self._ended()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    def result(self) -> Result:
        """Wait for the end; return the result or raise the error. It can be read again."""
        if self._process != os.getpid() and not self._done.is_set():
            return self._call()
        while not self._done.wait(None if stopped.get() is None else _LOOK_EVERY):
            check_stopped()
        check_stopped()
        if self._error is not None:
            raise self._error
        return self._results[0]
