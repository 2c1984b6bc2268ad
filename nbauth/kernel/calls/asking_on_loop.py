"""Tokens for a thread that works for an awaited call: the event loop's thread asks the person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.bound import Bound
from nbauth.kernel.need import Need

_LOOK_EVERY = 0.2
"""Seconds after which a waiting thread looks whether its task was cancelled."""


class AskingOnLoop(Bound):
    """The same client and account; each token that is not in memory is awaited on a loop.

    Args:
        bound: the client and account.
        loop: the running loop of the awaited call.
        check: called by waiting threads; raises if the task was cancelled.
    """

    __slots__ = ("_check", "_loop", "_may_ask", "_of")

    def __init__(
        self, bound: Bound, loop: asyncio.AbstractEventLoop, check: Callable[[], None]
    ) -> None:
        for name in Bound.__slots__:
            setattr(self, name, getattr(bound, name))
        self._of = bound
        self._loop = loop
        self._check = check
        self._may_ask = bound.may_ask

    @property
    def may_ask(self) -> bool:
        """Whether the person can be asked by the loop's thread."""
        return self._may_ask

    def __reduce__(self) -> Any:
        return self._of.__reduce__()

    def _got(self, need: Need) -> AuthenticationResult:
        self._check()
        asking = self._of._got_async(need)
        try:
            waiting = asyncio.run_coroutine_threadsafe(asking, self._loop)
        except RuntimeError:  # the loop is closed
            asking.close()
            raise
        while True:
            try:
                return waiting.result(_LOOK_EVERY)
            except NotYet:
                if waiting.done():
                    return waiting.result()
            try:
                self._check()
            except BaseException:
                waiting.cancel()
                raise
            if self._loop.is_closed():
                raise RuntimeError("Event loop is closed")
