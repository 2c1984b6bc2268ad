"""How long an ID token is valid, and when it has to be renewed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from nbauth.core.tokens import refresh_margin

GRACE = 30.0
"""Seconds for which a new ID token is used that this computer's clock says has expired."""
ON_THE_WAY = 10.0
"""Seconds before its expiry from which an ID token is not used: it could expire in a request."""
LATEST = 1e15
"""Epoch seconds. A larger number is no time; an integer may even be too large for a float."""
_DIGITS = re.compile(r"[0-9]{1,12}")


class IdTokenLife:
    """The times of one ID token. ``fresh`` is read on every use, so it is cheap.

    Args:
        claims: of the ID token, with ``exp``.
        received: whether it has just been received; then it is used, whatever the clock says.

    Attributes:
        expires_on: its ``exp``, epoch seconds.
    """

    __slots__ = ("_ends", "_ends_wall", "_until", "_until_wall", "expires_on")

    def __init__(self, claims: Mapping[str, Any], *, received: bool) -> None:
        now, clock = time.time(), time.monotonic()
        self.expires_on = expires_on(claims) or 0.0
        left = self.expires_on - now
        issued = _numeric_date(claims.get("iat"))
        life = left if issued is None else self.expires_on - issued
        margin = refresh_margin(max(life, 0.0))
        if received and left <= margin:  # renewed at once, the same would come again
            left = max(left, GRACE)
            margin = refresh_margin(left)
        # Both clocks: the wall clock may be set back, the monotonic clock stops during sleep.
        self._until, self._until_wall = clock + left - margin, now + left - margin
        at_least = min(ON_THE_WAY, margin / 2)
        self._ends, self._ends_wall = clock + left - at_least, now + left - at_least

    @property
    def fresh(self) -> bool:
        """Whether more time than the refresh margin is left."""
        return time.monotonic() < self._until and time.time() < self._until_wall

    @property
    def valid_for(self) -> float:
        """Seconds for which it can be used; negative if that time is past."""
        return min(self._ends - time.monotonic(), self._ends_wall - time.time())


def expires_on(claims: Mapping[str, Any]) -> float | None:
    """The claim ``exp``, epoch seconds; ``None`` if it is missing or invalid."""
    return _numeric_date(claims.get("exp"))


def _numeric_date(value: object) -> float | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -LATEST < value < LATEST else None  # false for NaN
