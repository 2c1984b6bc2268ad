"""Lets callers wait for a sign-in, blocking or awaited."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any, cast

from nbauth.core.account import Account
from nbauth.core.errors import ConfigurationError
from nbauth.core.interrupts import Flag, true_interrupts
from nbauth.core.signal import Signal
from nbauth.kernel.sign_in.persons_time import PersonsTime
from nbauth.kernel.sign_in.protocol import Pending, Screen
from nbauth.kernel.sign_in.request import DEFAULT_TIMEOUT, Request
from nbauth.kernel.sign_in.seats import Seat, Seats, seated, seated_async
from nbauth.kernel.sign_in.seen import Seen

TOLD = 1.0
"""Extensions of the time by less than these seconds are not announced to displays."""
LOOK_EVERY = 1.0
"""Seconds between checks whether a caller's own time is over."""
_HELD = "held"
_CALLED_BY: contextvars.ContextVar[tuple[Waited, ...]] = contextvars.ContextVar(
    "nbauth_called_by", default=()
)
"""The sign-ins whose callbacks are running now."""


class Waited(Seen):
    """A sign-in as its waiting callers see it.

    Attributes:
        ended: a ``Flag`` that is set at the end.
        changed: a ``Signal``, emitted with this object after every change.
        time: the time left for the person.
        seats: the waiting callers.
    """

    def __init__(self, request: Request, screen: Screen) -> None:
        super().__init__()
        self._request = request
        self.ended = Flag()
        self.changed = Signal()
        self.time = PersonsTime(request.client.settings.timeout)
        self.seats = Seats()
        self._screen = screen
        self._lock = threading.Lock()  # for its state; nothing is called while it is held

    @property
    def request(self) -> Request:
        """The request that began it."""
        return self._request

    @property
    def expires_in(self) -> float | None:
        """Seconds until the sign-in expires; ``None`` while unknown."""
        return self.time.left

    @property
    def held(self) -> bool:
        """Whether it continues if no caller waits: it was begun in the background or by a panel."""
        return _HELD in self.seats

    @property
    def waiters(self) -> int:
        """The number of callers that wait, or are about to."""
        return len(self.seats) - self.held

    def hold(self) -> None:
        """Let it continue even if no caller waits."""
        self.seats.take(_HELD)

    def start(self) -> Waited:
        """Start it, unless it was started."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End it now, if that is still possible."""
        raise NotImplementedError

    def wanted(self) -> None:
        """Note that a caller wants it now."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> Account:
        """Wait until the sign-in ends. Raises its error, or ``SignInExpired`` after ``timeout`` s.

        An interrupt cancels it, unless other callers wait too or it continues by itself.
        """
        return seated(lambda seat: self._block(seat, (timeout,)))

    async def wait_async(self, timeout: float | None = None) -> Account:
        """The same as :meth:`wait`, awaited; cancelling the task counts as the interrupt."""
        return await seated_async(lambda seat: self._await(seat, (timeout,)))

    def __await__(self) -> Generator[Any, None, Account]:
        return self.wait_async().__await__()

    def wait_for(self, seat: Seat, request: Request) -> Account:
        """Block until the end, or until this request's time is over."""
        return self._block(seat, self._rounds(request))

    async def wait_for_async(self, seat: Seat, request: Request) -> Account:
        """The same, awaited."""
        return await self._await(seat, self._rounds(request))

    def join(self, seat: Seat, timeout: float | None) -> None:
        """Block for a caller that needs the result of another's sign-in, which is shown here too.

        Returns at once if the sign-in is about to end.
        """
        if self._let_in(seat, timeout):
            self._show_here()
            self._block(seat, self._rounds_of(timeout, time.monotonic()))

    async def join_async(self, seat: Seat, timeout: float | None) -> None:
        """The same, awaited."""
        if self._let_in(seat, timeout):
            self._show_here()
            await self._await(seat, self._rounds_of(timeout, time.monotonic()))

    def give(self, timeout: float | None) -> bool:
        """Extend the person's time to ``timeout`` seconds from now, for a caller that joins.

        ``False`` if the time was already over.
        """
        if self in _CALLED_BY.get():  # called by this sign-in itself, which can't wait
            return True
        before = self.expires_in
        in_time = self.time.give(timeout)
        if before is not None and (self.expires_in or 0) >= before + TOLD:
            self.changed.emit(self)  # displays update the time left
        return in_time

    def calls_from_here(self) -> None:
        """Mark everything that runs in this context from now on as called by this sign-in."""
        _CALLED_BY.set((*_CALLED_BY.get(), self))

    def _let_in(self, seat: Seat, timeout: float | None) -> bool:
        self._refuse_to_wait_for_itself()
        self.wanted()
        return seat.take(self) and self.give(timeout)

    def _block(self, seat: Seat, rounds: Iterable[float | None]) -> Account:
        self._refuse_to_wait_for_itself()
        seat.take(self)
        self.start()
        with true_interrupts():
            for seconds in rounds:
                self._screen.wait(self._pending, seconds)
        return self.result()

    async def _await(self, seat: Seat, rounds: Iterable[float | None]) -> Account:
        self._refuse_to_wait_for_itself()
        seat.take(self)
        self.start()
        for seconds in rounds:
            with contextlib.suppress(TimeoutError):  # reported by result()
                await asyncio.wait_for(self._screen.wait_async(self._pending), seconds)
        return self.result()

    def _rounds(self, request: Request) -> Iterator[float]:
        began = request is self.request
        since = None if began else time.monotonic()
        return self._rounds_of(request.client.settings.timeout, since)

    def _rounds_of(self, timeout: float | None, since: float | None) -> Iterator[float]:
        """The seconds of each wait of a caller, until its time is over."""
        yield DEFAULT_TIMEOUT if timeout is None else timeout
        while not (self.ended.is_set() or self.time.is_over_for(timeout, since)):
            yield LOOK_EVERY

    def _refuse_to_wait_for_itself(self) -> None:
        """Raise in code that this sign-in calls, such as a ``web_ui`` or an observer."""
        if self in _CALLED_BY.get():
            raise ConfigurationError(
                "A web_ui function or an observer of a sign-in requested a token that only this"
                " sign-in can get.",
                code="waits_for_itself",
                hint="Request the token after the sign-in, not in web_ui or in an observer.",
            )

    def _show_here(self) -> None:
        if self.request.web_ui is None and self._screen.attended():
            self._screen.show(self._pending)

    @property
    def _pending(self) -> Pending:
        return cast("Pending", self)  # completed by the subclass
