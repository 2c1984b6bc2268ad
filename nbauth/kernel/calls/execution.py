"""The authorised execution that the running code belongs to; see :mod:`authorised_calls`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from nbauth.core.log import place

if TYPE_CHECKING:
    from nbauth.kernel.calls.authorise import Auth

_executing: ContextVar[Execution | None] = ContextVar("nbauth_executing", default=None)
_OF_A_THREAD = "_nbauth_execution"


class Execution:
    """One authorised execution and all that it has started. It may be nested in another one.

    Attributes:
        sent: whether one of its calls got a token, or had an authorization of its own.
        unlisted: the hosts of its calls that got no token because they are not listed.
    """

    def __init__(self) -> None:
        self._outer = present()
        self._auth: Auth | None = None
        self._process = os.getpid()
        self._before: Token[Execution | None] | None = None
        self.sent = False
        self.unlisted: dict[str, None] = {}

    @property
    def authorised(self) -> Execution | None:
        """This execution or the nearest outer one that is authorised; ``None`` if there is none."""
        if self._auth is not None and self._process == os.getpid():
            return self
        return None if self._outer is None else self._outer.authorised

    @property
    def auth(self) -> Auth | None:
        """Chooses the tokens of its calls; ``None`` before it begins and after it has ended."""
        return self._auth

    def begin(self, auth: Auth) -> None:
        """Authorise the calls of the running code, and of what it starts from now on."""
        self._auth = auth
        self._before = _executing.set(self)

    def end(self) -> None:
        """End it. Calls of its threads and tasks that go on get no token."""
        self._auth = self._outer = None
        if self._before is not None:
            _leave(self._before)

    def note(self, url: str, *, sent: bool) -> None:
        """Note whether a call got a token."""
        if sent:
            self.sent = True
        elif len(self.unlisted) < 3:
            self.unlisted[place(url).partition("/")[0]] = None


def present() -> Execution | None:
    """The authorised execution that the running code belongs to, or ``None``."""
    here = _executing.get()
    if here is None:
        here = vars(threading.current_thread()).get(_OF_A_THREAD)
    return None if here is None else here.authorised


def give_to(thread: threading.Thread, execution: Execution) -> None:
    """Let a thread that has not started yet belong to an execution."""
    vars(thread)[_OF_A_THREAD] = execution


@contextmanager
def belonging_to(execution: Execution) -> Iterator[None]:
    """Let the code of the ``with`` block belong to an execution."""
    before = _executing.set(execution)
    try:
        yield
    finally:
        _leave(before)


def _leave(before: Token[Execution | None]) -> None:
    # A cell may end in another context than it began in; an interrupt may make it end twice.
    with suppress(ValueError, RuntimeError):
        _executing.reset(before)


NOTHING = Execution()
"""Never begins. Code that belongs to it gets no token, in whichever thread it runs."""
