"""A quota as the directory of Graph has it: units in a sliding window; refused requests count."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from dataclasses import dataclass, field

from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply, throttled

TELLS_FROM = 0.8  # of the quota: from here on, responses tell how much is used
PERCENTAGE = "x-ms-throttle-limit-percentage"


def cost(request: Recorded) -> int:
    """The documented units: 2 for a list of users, 1 less with ``$select`` or a small ``$top``."""
    if not re.fullmatch(r"/[^/]+/users/?", request.path):
        return 1
    small = re.search(r"\$top=(\d+)", request.path + "?" + request.raw_query)
    less = ("$select=" in request.raw_query) + bool(small and int(small[1]) < 20)
    return max(1, 2 - less)


@dataclass
class Quota:
    """Refuses with 429 what exceeds *units* in *seconds*.

    Attributes:
        refused: how many requests were refused.
    """

    units: int
    seconds: float = 10.0
    refused: int = 0
    _spent: deque[tuple[float, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, request: Recorded) -> tuple[Reply | None, float]:
        """A refusal or None, and the used share of the quota."""
        with self._lock:
            while self._spent and self._spent[0][0] <= request.at - self.seconds:
                self._spent.popleft()
            self._spent.append((request.at, cost(request)))
            used = sum(units for _, units in self._spent) / self.units
            if used <= 1:
                return None, used
            self.refused += 1
            wait = self._spent[0][0] + self.seconds - request.at
        return throttled(max(1, math.ceil(wait))).with_headers(x_ms_throttle_scope="test"), used

    def told(self, reply: Reply, used: float) -> Reply:
        """The response with the used share, when that is large."""
        return reply.with_headers(**{PERCENTAGE: f"{used:.2f}"}) if used >= TELLS_FROM else reply
