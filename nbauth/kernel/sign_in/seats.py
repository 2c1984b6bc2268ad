"""Counts the callers that want a sign-in to continue; when the last one leaves, it is cancelled.

A caller takes a seat before others can see that it waits, and leaves it however the call ends, at
any line. So a sign-in that a caller waits for never looks unused.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from nbauth.core.interrupted import SignInInterrupted

Result = TypeVar("Result")


class Seats:
    """The seats of one sign-in. After the last one is left, no seat can be taken."""

    def __init__(self) -> None:
        self._taken: dict[object, None] = {}
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, who: object) -> bool:
        return who in self._taken

    def take(self, who: object) -> bool:
        """Take a seat; ``False`` if that is no longer possible."""
        with self._lock:
            if not self._closed:
                self._taken[who] = None
            return not self._closed

    def leave(self, who: object) -> bool:
        """Leave the seat; return whether no caller is left."""
        with self._lock:
            self._taken.pop(who, None)
            self._closed = self._closed or not self._taken
            return self._closed


class Seated(Protocol):
    """A sign-in with seats: ``attempt.SignIn``."""

    seats: Seats

    @property
    def state(self) -> str: ...
    def cancel(self) -> None: ...


class Seat:
    """The seat of one caller, in one sign-in at a time."""

    def __init__(self) -> None:
        self._sign_in: Seated | None = None

    def take(self, sign_in: Seated) -> bool:
        """Take a seat in a sign-in; ``False`` if its last caller has already left."""
        self._sign_in = sign_in  # set first, so that an interrupt in the next line leaves it again
        return sign_in.seats.take(self)

    def leave(self) -> None:
        """Leave; if this was the last caller, cancel the sign-in."""
        sign_in = self._sign_in
        if sign_in is not None and sign_in.seats.leave(self):
            sign_in.cancel()

    @property
    def goes_on(self) -> bool:
        """Whether the sign-in continues without this caller, or its tokens have arrived."""
        return self._sign_in is not None and self._sign_in.state != "cancelled"


def seated(call: Callable[[Seat], Result]) -> Result:
    """Run a call that takes a seat, leave the seat at its end, and return its result.

    Raises ``SignInInterrupted`` for an interrupt.
    """
    seat = Seat()
    try:
        try:
            return call(seat)
        finally:
            seat.leave()
    except KeyboardInterrupt:  # also one that came in the line above
        seat.leave()
        raise SignInInterrupted(goes_on=seat.goes_on) from None


async def seated_async(call: Callable[[Seat], Awaitable[Result]]) -> Result:
    """The same as :func:`seated`, awaited; cancelling the task leaves the seat."""
    seat = Seat()
    try:
        try:
            return await call(seat)
        finally:
            seat.leave()
    except KeyboardInterrupt:
        seat.leave()
        raise SignInInterrupted(goes_on=seat.goes_on) from None
