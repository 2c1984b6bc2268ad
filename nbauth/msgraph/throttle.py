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
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be repeated although the first request may have been processed (RFC 9110
§9.2.2)."""
BUSY = frozenset({502, 503, 504})
THROTTLED = 429


def is_refusal(method: str, status: int) -> bool:
    """Whether a request may be repeated because of this status.

    With 429 nothing was done. After the others something may have been.
    """
    return status == THROTTLED or (status in BUSY and method in SAFE)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of ``Retry-After``: a number or a date. ``None`` if absent or unreadable."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        moment = email.utils.parsedate_tz(text)
        if moment is None:
            return None
        seconds = email.utils.mktime_tz(moment) - time.time()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


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
        self._left = MOST_SECONDS
        self._attempts = 0

    def wait_for_others(self) -> None:
        """Wait while the service is paused because it refused a request of another call."""
        while (left := self._pauses.left(self._service)) > 0 and self._left > 0:
            self._wait(min(left, self._left), "it refused another request")

    def refused(self, method: str, status: int, headers: Mapping[str, str]) -> str | None:
        """Wait before a refused request is repeated.

        Returns ``None``, or without waiting the sentence that says why it is not repeated.
        """
        if not is_refusal(method, status):
            return ""
        asked = retry_after(headers)
        self._attempts += 1
        seconds = self._back_off() if asked is None else asked
        if seconds > self._left or self._attempts >= MOST_ATTEMPTS:
            return self._why_not(seconds)
        if asked is not None:
            self._pauses.add(self._service, seconds)
        self._wait(seconds, f"status {status}")
        return None

    def _why_not(self, seconds: float) -> str:
        if self._attempts >= MOST_ATTEMPTS:
            return f"It was repeated {self._attempts - 1} times."
        return (
            f"It asks to wait {seconds:,.0f} s; nbauth waits {MOST_SECONDS:.0f} s at most in one"
            " call."
        )

    def _back_off(self) -> float:
        longest = min(FIRST * 2 ** (self._attempts - 1), LONGEST)
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret

    def _wait(self, seconds: float, why: str) -> None:
        self._left -= seconds
        if seconds >= ANNOUNCED:
            say_to(
                self._person,
                f"{self._name} asks to wait {seconds:.0f} s ({why}). Interrupt the kernel to stop.",
            )
        pause(seconds)
