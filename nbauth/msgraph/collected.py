"""Collects the rows of a list; keeps what was read if that is interrupted or fails."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

from nbauth.core.errors import GraphError
from nbauth.core.interrupted import GraphInterrupted
from nbauth.msgraph.pages import Rows
from nbauth.msgraph.progress import Progress


class Partial(NamedTuple):
    """What a call had read when it was interrupted or failed.

    Attributes:
        rows: of whole pages.
        next_link: where to go on: ``graph.list(link)``.
    """

    rows: list[Any]
    next_link: str | None


class Collected:
    """The rows of a list. ``with`` covers also what is made of them: no row is lost.

    Attributes:
        rows: what was read.
    """

    def __init__(self, source: Rows, limit: int | None, progress: bool) -> None:
        self._source = source
        self._limit = limit
        self._progress = progress
        self.rows: list[Any] = []
        self._kept = 0, source.next_link

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give an error the rows. An interrupt becomes ``GraphInterrupted``."""
        if isinstance(error, KeyboardInterrupt):
            self._source.close()
            raise GraphInterrupted(*self.partial) from None
        if isinstance(error, GraphError):
            error.rows, error.next_link = self.partial

    def read(self) -> list[Any]:
        """Read all pages."""
        with Progress(total=self._limit, enabled=self._progress) as bar:
            for page in self._source.pages():
                self.rows.extend(page)
                self._kept = len(self.rows), self._source.next_link
                if self._source.count is not None:
                    bar.total = min(self._source.count, self._limit or self._source.count)
                bar.update(len(page))
        return self.rows

    @property
    def partial(self) -> Partial:
        """What was read so far. After an interrupt, a page may have been added and not noted."""
        count, link = self._kept
        return Partial(self.rows[:count], link)
