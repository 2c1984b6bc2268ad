"""How long a person has to finish a sign-in."""

from __future__ import annotations

import math
import time

from nbauth.core.errors import SignInExpired
from nbauth.kernel.sign_in.request import DEFAULT_TIMEOUT


class PersonsTime:
    """The seconds that are left: those of who began it, or more, where somebody joins who has more.

    Args:
        timeout: seconds; ``None`` is the time that there is where nobody sets one.
    """

    def __init__(self, timeout: float | None) -> None:
        self._first = self._longest = timeout
        self._began_at = 0.0
        self._ends_at: float | None = None
        self._code_ends_at = math.inf

    @property
    def left(self) -> float | None:
        """Seconds left, ``None`` while that is unknown."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    @property
    def goes_on_for_others(self) -> bool:
        """Whether the time of who began it is over, and that of somebody who joined is not."""
        over = self._first is not None and time.monotonic() > self._began_at + self._first
        return over and (self.left or 0) > 0

    def begin(self, code_lives: float = math.inf) -> None:
        """It is the person's turn from now on; a code that is shown lives so many seconds."""
        self._began_at = time.monotonic()
        self._code_ends_at = self._began_at + code_lives
        self._ends_at = self._end_from_now()

    def stop(self) -> None:
        """It is not the person's turn until the next beginning."""
        self._ends_at = None

    def give(self, timeout: float | None) -> None:
        """Give so long from now, if that is longer, but no longer than the code lives.

        ``None`` is the time that there is where nobody sets one.
        """
        if self._longest is not None:
            self._longest = None if timeout is None else max(self._longest, timeout)
        if self._ends_at is not None:
            self._ends_at = max(self._ends_at, self._end_from_now())

    def check(self) -> None:
        """Raise ``SignInExpired`` once it is over."""
        if self.left == 0:
            raise SignInExpired("Nobody finished the sign-in in time.", code="timeout")

    def _end_from_now(self) -> float:
        has_code = self._code_ends_at < math.inf
        unset = math.inf if has_code else DEFAULT_TIMEOUT
        return min(time.monotonic() + (self._longest or unset), self._code_ends_at)
