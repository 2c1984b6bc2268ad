"""Who waits for a sign-in: callers that block on it, or await it."""

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
"""Seconds more that are told to who shows how many are left."""
LOOK_EVERY = 1.0
"""Seconds after which a caller sees whether the sign-in goes on for others only."""
_HELD = "held"
_CALLED_BY: contextvars.ContextVar[tuple[Waited, ...]] = contextvars.ContextVar(
    "nbauth_called_by", default=()
)
"""The sign-ins that have called what runs now."""


class Waited(Seen):
    """A sign-in, as those see it who wait for its end.

    Attributes:
        ended: a ``Flag`` that is set at the end.
        changed: a ``Signal``, emitted with this object after every change.
        time: how long the person has.
        seats: who waits.
    """

    def __init__(self, request: Request, screen: Screen) -> None:
        super().__init__()
        self._request = request
        self.ended = Flag()
        self.changed = Signal()
        self.time = PersonsTime(request.client.settings.timeout)
        self.seats = Seats()
        self._screen = screen
        self._lock = threading.Lock()  # of its state; nothing is called while it is held

    @property
    def request(self) -> Request:
        """What it asks for."""
        return self._request

    @property
    def expires_in(self) -> float | None:
        """Seconds until it can no longer be finished, ``None`` while that is unknown."""
        return self.time.left

    @property
    def held(self) -> bool:
        """Whether it goes on though nobody waits: it was begun in the background or by a panel."""
        return _HELD in self.seats

    @property
    def waiters(self) -> int:
        """How many callers wait, or are about to."""
        return len(self.seats) - self.held

    def hold(self) -> None:
        """Let it go on though nobody waits; for who waits still."""
        self.seats.take(_HELD)

    def start(self) -> Waited:
        """Begin, unless that was done."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End it now, if that is possible still."""
        raise NotImplementedError

    def wanted(self) -> None:
        """Somebody wants it now."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> Account:
        """Block until it has ended. Raises its error, or ``SignInExpired`` after ``timeout`` s.

        An interrupt cancels it, unless somebody else waits too or it goes on by itself.
        """
        return seated(lambda seat: self._block(seat, (timeout,)))

    async def wait_async(self, timeout: float | None = None) -> Account:
        """The same, awaited; cancelling the task is the interrupt."""
        return await seated_async(lambda seat: self._await(seat, (timeout,)))

    def __await__(self) -> Generator[Any, None, Account]:
        return self.wait_async().__await__()

    def wait_for(self, seat: Seat, request: Request) -> Account:
        """Block, as long as who asked for this has time."""
        return self._block(seat, self._rounds(request))

    async def wait_for_async(self, seat: Seat, request: Request) -> Account:
        """The same, awaited."""
        return await self._await(seat, self._rounds(request))

    def join(self, seat: Seat, timeout: float | None) -> None:
        """Block as one who needs what it brings, and did not ask for it; it is shown here too.

        Not if it is at its end for want of others, or of time.
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
        """Give the person so long from now, if that is longer: somebody joins who has the time.

        ``False`` if that comes too late.
        """
        if self in _CALLED_BY.get():  # it can't wait
            return True
        before = self.expires_in
        in_time = self.time.give(timeout)
        if before is not None and (self.expires_in or 0) >= before + TOLD:
            self.changed.emit(self)  # who shows the time that is left shows it anew
        return in_time

    def calls_from_here(self) -> None:
        """What runs in this context from now on is called by this sign-in."""
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
            with contextlib.suppress(TimeoutError):  # told by what follows
                await asyncio.wait_for(self._screen.wait_async(self._pending), seconds)
        return self.result()

    def _rounds(self, request: Request) -> Iterator[float]:
        began = request is self.request
        since = None if began else time.monotonic()
        return self._rounds_of(request.client.settings.timeout, since)

    def _rounds_of(self, timeout: float | None, since: float | None) -> Iterator[float]:
        """The seconds after which a caller looks up, until its time is over."""
        yield DEFAULT_TIMEOUT if timeout is None else timeout
        while not (self.ended.is_set() or self.time.is_over_for(timeout, since)):
            yield LOOK_EVERY

    def _refuse_to_wait_for_itself(self) -> None:
        """What this sign-in calls must not wait for it: a ``web_ui``, an observer of it."""
        if self in _CALLED_BY.get():
            raise ConfigurationError(
                "A sign-in was to wait for itself: what it calls asked for a token that it brings.",
                code="waits_for_itself",
                hint="Ask for tokens where the sign-in was begun, not in what it calls.",
            )

    def _show_here(self) -> None:
        if self.request.web_ui is None and self._screen.attended():
            self._screen.show(self._pending)

    @property
    def _pending(self) -> Pending:
        return cast("Pending", self)  # with what its subclass adds
