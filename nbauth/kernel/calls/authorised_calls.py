"""Adds tokens to plain calls of requests and httpx while one execution runs, such as one cell.

While at least one execution is authorised, methods of requests, httpx and threads are replaced.
The new methods change only calls that belong to such an execution. A context variable says which
execution a call belongs to; tasks, ``asyncio.to_thread`` and awaited coroutines inherit it. Threads
and the jobs of a ``ThreadPoolExecutor`` get it from the code that starts them. A forked child
process gets no token.

Afterwards each class has its own method again. If other code has replaced a method in the meantime,
that replacement stays, and the method of this module below it only calls the original one.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from nbauth.kernel.calls import plain_requests
from nbauth.kernel.calls.auth_of_execution import AuthOfExecution
from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.execution import NOTHING, Execution, belonging_to, give_to, present

_MARK = "_nbauth_replaced"


class _Replaced:
    """One method that is replaced.

    Args:
        owner: the class.
        name: of the method.
        make: returns the replacement, from the method that is there.
    """

    def __init__(self, owner: type, name: str, make: Callable[[Any], Any]) -> None:
        self._owner, self._name = owner, name
        before: Any = vars(owner)[name]
        # A replacement of an earlier execution may be back, by code that had saved it.
        while isinstance(ours := getattr(before, _MARK, None), _Replaced) and ours._after is before:
            before = ours._before
        self._before: Any = before
        self._after: Any = functools.wraps(before)(make(before))
        setattr(self._after, _MARK, self)

    def replace(self) -> None:
        setattr(self._owner, self._name, self._after)

    def undo(self) -> None:
        if vars(self._owner).get(self._name) is self._after:
            setattr(self._owner, self._name, self._before)


class _ReplacedMethods:
    """Replaces the methods while at least one execution is authorised."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # an interrupt's handler may run a cell's end
        self._for: set[Execution] = set()
        self._methods: list[_Replaced] = []

    def add(self, execution: Execution) -> None:
        with self._lock:
            self._for.add(execution)
            if len(self._for) == 1:
                self._undo()  # if an interrupt has left something
                self._replace()

    def remove(self, execution: Execution) -> None:
        with self._lock:
            self._for.discard(execution)
            if not self._for:
                self._undo()

    def _replace(self) -> None:
        for owner, name, make in _all():
            method = _Replaced(owner, name, make)
            self._methods.append(method)  # first, since an interrupt may come at any line
            method.replace()

    def _undo(self) -> None:
        while self._methods:
            self._methods[-1].undo()
            self._methods.pop()


_replaced = _ReplacedMethods()
"""One for the process, because all code of the process uses the same classes."""


def begin(execution: Execution, auth: Auth) -> None:
    """Authorise the calls of the running code, and of what it starts, until ``end``."""
    _replaced.add(execution)
    execution.begin(AuthOfExecution(auth, execution))


def end(execution: Execution) -> None:
    """End an execution that has begun, or whose beginning was interrupted."""
    execution.end()
    _replaced.remove(execution)


def _all() -> Iterator[tuple[type, str, Callable[[Any], Any]]]:
    yield threading.Thread, "start", _start
    yield ThreadPoolExecutor, "submit", _submit
    yield from plain_requests.replacements()
    if "httpx" in sys.modules or find_spec("httpx") is not None:
        from nbauth.kernel.calls import plain_httpx

        yield from plain_httpx.replacements()


def _start(before: Any) -> Any:
    def start(thread: threading.Thread, *args: Any, **options: Any) -> Any:
        execution = present()
        if execution is not None:
            give_to(thread, execution)
        return before(thread, *args, **options)

    return start


def _submit(before: Any) -> Any:
    """Each job belongs to the execution that submits it; the pool's threads outlive it."""

    def submit(pool: Any, job: Any, /, *args: Any, **options: Any) -> Any:
        execution = present()
        if execution is None:
            return before(pool, job, *args, **options)
        with belonging_to(NOTHING):  # the thread that this call may start
            return before(pool, _run, execution, job, *args, **options)

    return submit


def _run(execution: Execution, job: Any, /, *args: Any, **options: Any) -> Any:
    with belonging_to(execution):
        return job(*args, **options)
