"""The requests of a batch and their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.interrupted import GraphInterrupted
from nbauth.core.text import plain
from nbauth.msgraph.addresses import Path
from nbauth.msgraph.frames.table import ROWS, Table

Given = TypeVar("Given")
NAMES = 3
"""Names of an object that are shown."""
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of :meth:`Graph.batch`.

    Attributes:
        method: ``"GET"``, ``"POST"``, ``"PATCH"``, ``"PUT"`` or ``"DELETE"``.
        json: the body, or bytes that are sent as they are.
        depends_on: the positions, from 0, of earlier requests of the same call. This one is sent
            after they have succeeded.
    """

    method: str
    path: Path
    json: object = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    depends_on: int | Iterable[int] = ()

    @classmethod
    def of(cls, given: Requested) -> BatchRequest:
        """A path is a ``GET``. Raises ``ConfigurationError`` for a mapping with wrong names."""
        if isinstance(given, BatchRequest):
            return given
        if not isinstance(given, Mapping):
            return cls("GET", given)
        names = [field for field in cls.__slots__ if field != "method"]
        known: dict[str, Any] = {"method": "GET", **given}
        if "path" not in known or not {*known} <= {"method", *names}:
            raise ConfigurationError(
                "A request of a batch has a path, and no names but method, path, json, headers and"
                " depends_on.",
                code="bad_option",
                hint='For example {"method": "PATCH", "path": "me", "json": {...}}.',
            )
        return cls(**known)


Requested = Path | Mapping[str, Any] | BatchRequest
"""A request of a batch: a path for ``GET``, a mapping, or a :class:`BatchRequest`."""


def several(given: Iterable[Given]) -> Iterable[Given]:
    """A list of requests. Raises ``ConfigurationError`` for a single one."""
    single = isinstance(given, str | bytes | Mapping | BatchRequest)
    if single or not isinstance(given, Iterable):
        raise ConfigurationError(
            "A batch needs a list of paths or requests.",
            code="bad_option",
            hint="For one path use graph.get.",
        )
    return given


@dataclass(frozen=True, slots=True)
class BatchItem:
    """The result of one request of a batch.

    Attributes:
        ok: whether the request succeeded.
        status: of its response; ``None`` if there was none.
        body: of the response: JSON, ``None`` or bytes; a collection is complete if ``ok``.
        error: why it did not succeed, else ``None``. It is not raised.
    """

    ok: bool
    status: int | None
    body: Any
    error: GraphError | None = None

    def __repr__(self) -> str:
        """Without the values of the body, which may be secrets."""
        return f"<BatchItem {self.status or 'without status'}: {self.summary}>"

    @property
    def summary(self) -> str:
        """The code of the error, or what the body is."""
        if self.error is not None:
            return self.error.code
        match self.body:
            case None:
                return "no body"
            case {"value": list(rows)}:
                return _counted(len(rows), "row")
            case dict():
                return f"dict: {_names(self.body)}"
            case bytes():
                return f"{len(self.body):,} bytes"
        return type(self.body).__name__


def _names(body: Mapping[str, Any]) -> str:
    """The first names of an object, without annotations; its values may be secrets."""
    names = [plain(name) for name in body if "@" not in name]
    return ", ".join([*names[:NAMES], *["…"][: len(names) - NAMES]]) if names else "no names"


class BatchItems(list[BatchItem]):
    """The results in the order of the requests; displayed as a table of the first 20."""

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        self._table()._repr_pretty_(printer, cycle)

    def _table(self) -> Table:
        rows = [
            {
                "": at,
                "ok": one.ok,
                "status": one.status,
                "result": one.summary,
                "error": None if one.error is None else str(one.error),
            }
            for at, one in enumerate(self[:ROWS])
        ]
        return Table(rows, caption=self._counts())

    def _counts(self) -> str:
        codes = Counter(one.error.code for one in self if one.error is not None)
        wrong = ", ".join(f"{code}: {count:,}" for code, count in codes.most_common(5))
        results, errors = _counted(len(self), "result"), _counted(sum(codes.values()), "error")
        first = f"the first {ROWS:,} of " if len(self) > ROWS else ""
        return f"{first}{results}, {errors}" + (wrong and f" ({wrong})")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class BatchInterrupted(GraphInterrupted):
    """The kernel was interrupted during batches.

    ``rows`` are the results in order, with ``None`` for the requests without one.
    """

    def _render_traceback_(self) -> list[str]:
        done = sum(row is not None for row in self.rows)
        return [
            f"GraphInterrupted: {done:,} of {len(self.rows):,} requests have a result. The results"
            " are in partial.rows of the Graph object, for example nbauth.graph.partial.rows, in"
            " order, with None for the others."
        ]


def not_a_list(path: str, status: int) -> GraphError:
    """The error for a page of a collection that has no rows."""
    return GraphError(
        f"A page of {plain(path)} is not a list.",
        code="not_a_list",
        hint="The rows are not complete. Report it to whoever runs this Graph.",
        status=status,
    )


def loop(path: str) -> GraphError:
    """The error for a next link that was followed before."""
    return GraphError(
        f"The pages of {plain(path)} form a loop: a next link leads to a page that was read"
        " before.",
        code="loop",
        hint="The rows read so far are not all. Report it to whoever runs this Graph.",
    )
