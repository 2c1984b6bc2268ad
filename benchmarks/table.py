"""Medians and ratios, and the Markdown table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from timeit import Timer

TURNS = 701


def duration(seconds: float) -> str:
    """Three digits, in a suitable unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def size(amount: float) -> str:
    """Bytes as megabytes."""
    return f"{amount / 2**20:.3g} MB"


@dataclass(frozen=True)
class Row:
    """One comparison: the seconds of nbauth and of the peer (``None`` if there is none).

    The values may be others, which ``written`` formats.
    """

    number: str
    what: str
    ours: float
    peer: str
    theirs: float | None
    held_to: str
    written: Callable[[float], str] = duration

    def line(self) -> str:
        """The row as Markdown."""
        ratio = "–" if not self.theirs else f"{self.ours / self.theirs:.3f}"
        theirs = "–" if self.theirs is None else self.written(self.theirs)
        cells = [self.number, self.what, self.written(self.ours), self.peer, theirs, ratio]
        return f"| {' | '.join([*cells, self.held_to])} |"


def timed_by_turns(*calls: Callable[[], object]) -> list[float]:
    """The seconds of each, as the median of many alternating runs."""
    timers = [Timer(call) for call in calls]
    numbers = [max(1, timer.autorange()[0] // 1000) for timer in timers]  # of 0.2 ms
    turns = [
        [timer.timeit(number) / number for timer, number in zip(timers, numbers, strict=True)]
        for _ in range(TURNS)
    ]
    return [median(one) for one in zip(*turns, strict=True)]


def table(rows: Iterable[Row]) -> str:
    """The whole table, for docs/figures.md."""
    head = "| # | what | nbauth | peer | peer's | ratio | held to |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *(row.line() for row in rows)])


__all__ = ["Row", "duration", "median", "size", "table", "timed_by_turns"]
