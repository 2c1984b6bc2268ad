"""How long a person has to finish a sign-in."""

from __future__ import annotations

import math
import time

from nbauth.core.errors import SignInExpired
from nbauth.kernel.sign_in.request import DEFAULT_TIMEOUT


class PersonsTime:
    """The time left to finish a sign-in: the longest that any of its callers allows.

    A time-out is in seconds. ``None`` means the default: the lifetime of the device code that is
    shown, else ``DEFAULT_TIMEOUT``.

    Args:
        timeout: of the first caller.
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
        """Seconds left; ``None`` while unknown."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def is_over_for(self, timeout: float | None, since: float | None) -> bool:
        """Whether a caller's own time is over, while other callers still wait.

        It counts from ``since`` (monotonic clock); for the first caller, from the person's turn.
        """
        began_at = self._turn_at if since is None else since
        if began_at is None or self.left == 0:
            return False
        return time.monotonic() >= began_at + self._resolved(timeout)

    def begin(self, code_lives: float = math.inf) -> None:
        """The person's turn begins; a device code that is shown lives ``code_lives`` seconds."""
        now = time.monotonic()
        if self._turn_at is None or not self._keeps_turn:
            self._turn_at = now
        self._keeps_turn = self._over = False
        self._code_ends_at = now + code_lives
        self._ends_at = max(self._end(now, timeout) for timeout in self._given)

    def keep_turn(self) -> None:
        """Another caller changes the flow: the time of the first caller is not restarted."""
        self._keeps_turn = True

    def stop(self) -> None:
        """The person's turn ends until the next :meth:`begin`."""
        self._ends_at = None

    def give(self, timeout: float | None) -> bool:
        """Extend the time to ``timeout`` seconds from now, but not beyond the code's lifetime.

        ``False`` if the time was already over.
        """
        if timeout not in self._given:
            self._given = (*self._given, timeout)
        if self._ends_at is not None:
            self._ends_at = max(self._ends_at, self._end(time.monotonic(), timeout))
        return not self._over

    def check(self) -> None:
        """Raise ``SignInExpired`` if the time is over."""
        if self.left == 0:
            self._over = True
            if self.left == 0:  # a caller may have extended it just before the line above
                raise SignInExpired("The sign-in was not finished in time.", code="timeout")
            self._over = False

    def _end(self, now: float, timeout: float | None) -> float:
        return min(now + self._resolved(timeout), self._code_ends_at)

    def _resolved(self, timeout: float | None) -> float:
        if timeout is not None:
            return timeout
        return math.inf if self._code_ends_at < math.inf else DEFAULT_TIMEOUT
