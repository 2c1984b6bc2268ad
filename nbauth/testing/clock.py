"""A clock that advances only when told to."""

from __future__ import annotations


class FakeClock:
    """Replaces ``time`` in a module of nbauth: ``monkeypatch.setattr(module, "time", clock)``.

    Its wall clock and its monotonic clock advance together, unless one of them is set.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._wall = now
        self._monotonic = 1_000.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Advance both clocks."""
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock forward or, if negative, back, as a time server does."""
        self._wall += seconds

    def sleep_through(self, seconds: float) -> None:
        """Suspend the machine: on Linux the monotonic clock stops meanwhile."""
        self._wall += seconds
