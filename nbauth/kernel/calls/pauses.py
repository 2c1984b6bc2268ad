"""How long services have asked to wait; shared by all callers of the kernel."""

from __future__ import annotations

import time
from collections.abc import Hashable

MOST = 256
"""Services that are remembered; the oldest are dropped first."""
NOTICEABLE = 1.0
"""Seconds."""


class Pauses:
    """Until when no request is sent to a service, because it refused one with ``Retry-After``."""

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}

    def left(self, service: Hashable) -> float:
        """The seconds that are left; 0 if there is no pause."""
        until = self._until.get(service)
        return 0.0 if until is None else max(until - time.monotonic(), 0.0)

    def add(self, service: Hashable, seconds: float) -> bool:
        """Pause a service from now on; return whether that makes its pause noticeably longer.

        A pause that ends later stays.
        """
        until, before = time.monotonic() + seconds, self._until.get(service, 0.0)
        self._until[service] = max(until, before)
        for oldest in list(self._until)[:-MOST]:
            self._until.pop(oldest, None)
        return until > before + NOTICEABLE
