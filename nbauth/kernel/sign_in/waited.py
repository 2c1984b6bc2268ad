"""Who waits for a sign-in: callers that block on it, or await it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Generator, Iterator
from typing import Any, cast

from nbauth.core.account import Account
from nbauth.core.errors import ConfigurationError, SignInInterrupted
from nbauth.core.interrupts import Flag, true_interrupts
from nbauth.core.signal import Signal
from nbauth.kernel.sign_in.persons_time import PersonsTime
from nbauth.kernel.sign_in.protocol import Pending, Screen
from nbauth.kernel.sign_in.request import Request
from nbauth.kernel.sign_in.seen import Seen

TOLD = 1.0
"""Seconds more that are told to who shows how many are left."""
LOOK_EVERY = 1.0
"""Seconds after which who began a sign-in sees whether it goes on for others only."""
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
        held: whether it goes on though nobody waits: it was begun in the background or by a panel.
    """

    def __init__(self, request: Request, screen: Screen) -> None:
        super().__init__()
        self._request = request
        self.ended = Flag()
        self.changed = Signal()
        self.held = False
        self.time = PersonsTime(request.client.settings.timeout)
        self._screen = screen
        self._waiters = 0
        self._lock = threading.Lock()  # of its state; nothing is called while it is held

    @property
    def request(self) -> Request:
        """What it asks for."""
        return self._request

    @property
    def _pending(self) -> Pending:
        return cast("Pending", self)  # with what its subclass adds

    def cancel(self) -> None:
        """End it now, if that is possible still."""
        raise NotImplementedError

    def start(self) -> Waited:
        """Begin, unless that was done."""
        raise NotImplementedError

    @property
    def expires_in(self) -> float | None:
        """Seconds until it can no longer be finished, ``None`` while that is unknown."""
        return self.time.left

    def give(self, timeout: float | None) -> None:
        """Give the person so long from now, if that is longer: somebody joins who has the time.

        ``None`` is the time that there is where nobody sets one.
        """
        if self in _CALLED_BY.get():  # it can't wait
            return
        before = self.expires_in
        self.time.give(timeout)
        if before is not None and (self.expires_in or 0) >= before + TOLD:
            self.changed.emit(self)  # who shows the time that is left shows it anew

    def wait(
        self, timeout: float | None = None, *, by: Request | None = None, show: bool = False
    ) -> Account:
        """Block until it has ended. Raises its error, or ``SignInExpired`` after ``timeout`` s.

        An interrupt cancels it, unless somebody else waits too or it goes on by itself.

        Args:
            timeout: seconds.
            by: what the caller asked for, whose own time-out then holds: this may have been begun
                for another, or another may have joined who has more time.
            show: for who joins it elsewhere than it was begun: it is shown there too, if that can
                be.
        """
        self._refuse_to_wait_for_itself()
        self.start()
        with self._waiting(), true_interrupts():
            self._show_here(show)
            for seconds in self._rounds(timeout, by):
                self._screen.wait(self._pending, seconds)
        return self.result()

    async def wait_async(
        self, timeout: float | None = None, *, by: Request | None = None, show: bool = False
    ) -> Account:
        """The same, awaited; cancelling the task is the interrupt."""
        self._refuse_to_wait_for_itself()
        self.start()
        with self._waiting():
            self._show_here(show)
            for seconds in self._rounds(timeout, by):
                with contextlib.suppress(TimeoutError):  # told by what follows
                    await asyncio.wait_for(self._screen.wait_async(self._pending), seconds)
        return self.result()

    def _rounds(self, timeout: float | None, by: Request | None) -> Iterator[float | None]:
        """The time-outs after which a caller looks up, until its time is over."""
        yield timeout if by is None else by.client.settings.timeout
        if by is self.request:  # its time counts from the person's turn on
            while not (self.ended.is_set() or self.time.goes_on_for_others):
                yield LOOK_EVERY

    def calls_from_here(self) -> None:
        """What runs in this context from now on is called by this sign-in."""
        _CALLED_BY.set((*_CALLED_BY.get(), self))

    def _refuse_to_wait_for_itself(self) -> None:
        """What this sign-in calls must not wait for it: a ``web_ui``, an observer of it."""
        if self in _CALLED_BY.get():
            raise ConfigurationError(
                "A sign-in was to wait for itself: what it calls asked for a token that it brings.",
                code="waits_for_itself",
                hint="Ask for tokens where the sign-in was begun, not in what it calls.",
            )

    def _show_here(self, show: bool) -> None:
        if show and self.request.web_ui is None and self._screen.attended():
            self._screen.show(self._pending)

    def __await__(self) -> Generator[Any, None, Account]:
        self.start()
        while not self.ended.is_set():
            yield from asyncio.sleep(0.05).__await__()
        return self.result()

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Count somebody who waits, or is about to."""
        with self._lock:
            self._waiters += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiters -= 1

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it, or is about to."""
        return self._waiters > 0

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        with self.awaited():
            try:
                yield
            except BaseException as stop:  # an interrupt; in a cell that awaits, CancelledError
                with self._lock:
                    goes_on = self.held or self._waiters > 1
                if not goes_on:
                    self.cancel()
                    goes_on = self.state != "cancelled"  # its tokens were on their way in
                if isinstance(stop, KeyboardInterrupt):
                    raise SignInInterrupted(goes_on=goes_on) from None
                raise
