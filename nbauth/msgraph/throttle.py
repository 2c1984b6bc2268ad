"""How long to wait before a refused request is repeated, and whether it is (RFC 9110 §10.2.3)."""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Hashable, Mapping

from nbauth.core.person import Person, say_to
from nbauth.kernel.calls.pauses import Pauses
from nbauth.msgraph.later import pause

MOST_SECONDS = 300.0
"""Seconds that one call waits in all because of refusals."""
ANNOUNCED = 2.0
"""Seconds from which a wait is announced."""
FIRST, LONGEST = 0.5, 30.0
"""Seconds of the first wait without ``Retry-After``, and of the longest one."""
MOST_ATTEMPTS = 8
MANY = 2
"""Attempts after which ``Retry-After: 0`` is not taken at its word."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be repeated although the first request may have been processed (RFC 9110
§9.2.2)."""
BUSY = frozenset({502, 503, 504})
THROTTLED = frozenset({429, 509})


def is_refusal(method: str, status: int) -> bool:
    """Whether a request may be repeated because of this status.

    With 429 and 509 nothing was done. After the others something may have been.
    """
    return status in THROTTLED or (status in BUSY and method in SAFE)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of ``Retry-After``: a number or a date. ``None`` if absent or unreadable.

    A date is compared with the server's own clock, if the response has its ``Date``.
    """
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        moment = _moment(text)
        if moment is None:
            return None
        now = _moment(headers.get("Date", ""))
        seconds = moment - (time.time() if now is None else now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _moment(text: str) -> float | None:
    """A date of HTTP in seconds since the epoch."""
    parts = email.utils.parsedate_tz(text)
    try:
        return None if parts is None else float(email.utils.mktime_tz(parts))
    except (ValueError, OverflowError):
        return None


class Attempts:
    """The refusals of one request, and the seconds that it may still wait.

    Attributes:
        left: these seconds.
    """

    __slots__ = ("_count", "left")

    def __init__(self) -> None:
        self.left = MOST_SECONDS
        self._count = 0

    def refused(self, headers: Mapping[str, str]) -> float | str:
        """The seconds until it may be repeated, or the sentence that says why it is not."""
        self._count += 1
        asked = retry_after(headers)
        seconds = self._back_off() if asked is None else asked
        if self._count > MANY and seconds < LONGEST:  # "0" again and again
            seconds = max(seconds, self._back_off())
        if self._count >= MOST_ATTEMPTS:
            return f"nbauth sent it {self._count} times."
        if seconds > self.left:
            limit = f"nbauth waits {MOST_SECONDS:.0f} s at most in one call"
            return f"The service asks to wait {seconds:,.0f} s; {limit}."
        return seconds

    def _back_off(self) -> float:
        """Exponential, with jitter."""
        longest = min(FIRST * 2.0 ** (self._count - 1), LONGEST)
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


class Patience:
    """The waits of one call.

    Args:
        person: is told of long waits.
        pauses: of the services, shared by the kernel.
        service: whose pauses.
        name: what messages call it.
    """

    def __init__(self, person: Person, pauses: Pauses, service: Hashable, name: str) -> None:
        self._person = person
        self._pauses = pauses
        self._service = service
        self._name = name
        self._attempts = Attempts()

    def wait_for_others(self) -> None:
        """Wait while the service is paused because it refused a request of another call."""
        while 0 < (left := self._pauses.left(self._service)) <= self._attempts.left:
            self._wait(left)

    def refused(self, method: str, status: int, headers: Mapping[str, str]) -> str | None:
        """Wait before a refused request is repeated, and return ``None``.

        Without waiting, return the sentence that says why it is not repeated; ``""`` if its status
        is no reason to.
        """
        if not is_refusal(method, status):
            return ""
        seconds = self._attempts.refused(headers)
        if isinstance(seconds, str):
            return seconds
        news = self._pauses.add(self._service, seconds)
        if news and seconds >= ANNOUNCED:
            say_to(
                self._person,
                f"{self._name} asks to wait {seconds:.0f} s (status {status}). The call goes on"
                " then; interrupt the kernel to stop it.",
            )
        self._wait(seconds)
        return None

    def _wait(self, seconds: float) -> None:
        self._attempts.left -= seconds
        pause(seconds)
