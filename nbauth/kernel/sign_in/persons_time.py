"""How long a person has to finish a sign-in."""

from __future__ import annotations

import math
import time

from nbauth.core.errors import SignInExpired
from nbauth.kernel.sign_in.request import DEFAULT_TIMEOUT


class PersonsTime:
    """The seconds that are left: as many as the most patient of those have who wait.

    A time-out is in seconds. ``None`` is the time that there is where nobody sets one: as long as
    a code lives that is shown, else ``DEFAULT_TIMEOUT``.

    Args:
        timeout: of who began it.
    """

    def __init__(self, timeout: float | None) -> None:
        self._given: tuple[float | None, ...] = (timeout,)
        self._turn_at: float | None = None
        self._keeps_turn = False
        self._ends_at: float | None = None
        self._code_ends_at = math.inf
        self._over = False

    @property
    def left(self) -> float | None:
        """Seconds left, ``None`` while that is unknown."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def is_over_for(self, timeout: float | None, since: float | None) -> bool:
        """Whether a caller's time is over, and goes on for others only.

        It counts from ``since`` (of the monotonic clock), for who began it from the person's turn.
        """
        began_at = self._turn_at if since is None else since
        if began_at is None or self.left == 0:
            return False
        return time.monotonic() >= began_at + self._resolved(timeout)

    def begin(self, code_lives: float = math.inf) -> None:
        """It is the person's turn from now on; a code that is shown lives so many seconds."""
        now = time.monotonic()
        if self._turn_at is None or not self._keeps_turn:
            self._turn_at = now
        self._keeps_turn = self._over = False
        self._code_ends_at = now + code_lives
        self._ends_at = max(self._end(now, timeout) for timeout in self._given)

    def keep_turn(self) -> None:
        """Another caller changes the way: for who began it the turn is the same."""
        self._keeps_turn = True

    def stop(self) -> None:
        """It is not the person's turn until the next beginning."""
        self._ends_at = None

    def give(self, timeout: float | None) -> bool:
        """Give so long from now, if that is longer, but no longer than the code lives.

        ``False`` if that comes too late.
        """
        if timeout not in self._given:
            self._given = (*self._given, timeout)
        if self._ends_at is not None:
            self._ends_at = max(self._ends_at, self._end(time.monotonic(), timeout))
        return not self._over

    def check(self) -> None:
        """Raise ``SignInExpired`` once it is over."""
        if self.left == 0:
            self._over = True
            if self.left == 0:  # somebody may have given more before that was to be seen
                raise SignInExpired("Nobody finished the sign-in in time.", code="timeout")
            self._over = False

    def _end(self, now: float, timeout: float | None) -> float:
        return min(now + self._resolved(timeout), self._code_ends_at)

    def _resolved(self, timeout: float | None) -> float:
        if timeout is not None:
            return timeout
        return math.inf if self._code_ends_at < math.inf else DEFAULT_TIMEOUT
