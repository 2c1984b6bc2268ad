"""A clock that stands still until it is told to go on."""

from __future__ import annotations


class FakeClock:
    """Stands in for ``time`` in one of our modules: ``monkeypatch.setattr(module, "time", clock)``.

    Its wall clock and its monotonic clock go together, until one of them is set.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._wall = now
        self._monotonic = 1_000.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, seconds: float) -> None:
        """Put the wall clock forward or, if negative, back, as a time server does."""
        self._wall += seconds

    def sleep_through(self, seconds: float) -> None:
        """Suspend the machine: the monotonic clock of Linux stands still meanwhile."""
        self._wall += seconds
