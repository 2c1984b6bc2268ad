"""Medians and ratios, and the Markdown table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of ours, of the peer (``None`` where there is none), in rounds."""

    number: str
    what: str
    ours: float
    peer: str
    theirs: float | None
    held_to: str

    def line(self) -> str:
        """The row as Markdown."""
        ratio = "–" if self.theirs is None else f"{self.ours / self.theirs:.3f}"
        theirs = "–" if self.theirs is None else duration(self.theirs)
        cells = [self.number, self.what, duration(self.ours), self.peer, theirs, ratio]
        return f"| {' | '.join([*cells, self.held_to])} |"


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table(rows: Iterable[Row]) -> str:
    """The whole table, for the README."""
    head = "| # | what | nbauth | peer | peer's | ratio | held to |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *(row.line() for row in rows)])


__all__ = ["Row", "duration", "median", "table"]
