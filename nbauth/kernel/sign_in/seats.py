"""Who wants a sign-in to go on: each caller that waits has a seat, and the last to leave ends it.

A seat is taken before anybody can see that the caller waits, and left however the call ends, at
whatever line; so there is no moment at which a sign-in is somebody's and looks like nobody's.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from nbauth.core.errors import SignInInterrupted

Result = TypeVar("Result")


class Seats:
    """Of one sign-in. Once the last is left it is closed: nobody takes one any more."""

    def __init__(self) -> None:
        self._taken: dict[object, None] = {}
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, who: object) -> bool:
        return who in self._taken

    def take(self, who: object) -> bool:
        """Whether it is taken."""
        with self._lock:
            if not self._closed:
                self._taken[who] = None
            return not self._closed

    def leave(self, who: object) -> bool:
        """Whether nobody is left."""
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
    """A caller's, in one sign-in at a time."""

    def __init__(self) -> None:
        self._sign_in: Seated | None = None

    def take(self, sign_in: Seated) -> bool:
        """Sit down there; ``False`` if it is at its end for want of others."""
        self._sign_in = sign_in  # first: an interrupt in the next line leaves it again
        return sign_in.seats.take(self)

    def leave(self) -> None:
        """Leave; the last one ends the sign-in, if it has not ended."""
        sign_in = self._sign_in
        if sign_in is not None and sign_in.seats.leave(self):
            sign_in.cancel()

    @property
    def goes_on(self) -> bool:
        """Whether the sign-in does, though this caller has left; or its tokens have come."""
        return self._sign_in is not None and self._sign_in.state != "cancelled"


def seated(call: Callable[[Seat], Result]) -> Result:
    """The outcome of a call that takes a seat, which is left at its end.

    Raises ``SignInInterrupted`` for an interrupt.
    """
    seat = Seat()
    try:
        try:
            return call(seat)
        finally:
            seat.leave()
    except KeyboardInterrupt:  # in the line above, too
        seat.leave()
        raise SignInInterrupted(goes_on=seat.goes_on) from None


async def seated_async(call: Callable[[Seat], Awaitable[Result]]) -> Result:
    """The same, awaited; cancelling the task leaves the seat."""
    seat = Seat()
    try:
        try:
            return await call(seat)
        finally:
            seat.leave()
    except KeyboardInterrupt:
        seat.leave()
        raise SignInInterrupted(goes_on=seat.goes_on) from None
