"""Rows of Graph as flat columns: ``from.emailAddress.address``; annotations stay apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from nbauth.msgraph.json_text import DOWNLOAD_URL

ANNOTATION = "@odata."
TYPE = "@odata.type"
_CAST = "microsoft.graph."


class Column(NamedTuple):
    """The values of a column, one per row, and their types. A missing value is ``None``."""

    values: list[Any]
    kinds: set[type]


@dataclass(frozen=True)
class Columns:
    """The columns of rows, and the annotations: one value per row."""

    height: int
    data: dict[str, Column] = field(default_factory=dict)
    annotations: dict[str, list[Any]] = field(default_factory=dict)


def columns_of(rows: Iterable[Any], select: Sequence[str] | str | None = None) -> Columns:
    """The columns of rows: those of ``select`` first, then the others as they appear.

    A nested object is replaced by columns with dotted names, at its place. Lists are not changed.
    Pre-authorised addresses of files are left out.
    A row that is no object is in the column ``value``. If two columns would have one name, the
    second one gets `` (2)`` after it.
    """
    rows = _objects(rows)
    found = Columns(len(rows))
    waiting = list(reversed(_split(rows).items()))
    while waiting:  # no recursion: objects can be nested deeply
        name, values = waiting.pop()
        if name.endswith(DOWNLOAD_URL):
            continue  # a secret, which a display of the frame would show
        if ANNOTATION in name:
            found.annotations[_unused(name, found.annotations)] = values
            continue
        kinds = set(map(type, values))
        objects = {kind for kind in kinds if issubclass(kind, Mapping)}
        if not objects:
            found.data[_unused(name, found.data)] = Column(values, kinds)
            continue
        inner = _split([value if type(value) in objects else {} for value in values])
        rest = [None if type(value) in objects else value for value in values]
        if any(value is not None for value in rest) or all(ANNOTATION in key for key in inner):
            found.data[_unused(name, found.data)] = _column(rest)
        waiting += [(f"{name}.{key}", inner[key]) for key in reversed(inner)]
    _move_types(found)
    return Columns(len(rows), _selected(found, select), found.annotations)


def _column(values: list[Any]) -> Column:
    return Column(values, set(map(type, values)))


def _objects(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    rows = list(rows)
    objects = {kind for kind in set(map(type, rows)) if issubclass(kind, Mapping)}
    if len(objects) == len(set(map(type, rows))):
        return rows
    return [row if type(row) in objects else {"value": row} for row in rows]


def _split(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    if not rows:
        return {}
    names: Iterable[str] = rows[0]
    if set(map(len, rows)) == {len(rows[0])}:  # most lists: all rows have the same names
        try:
            return {name: list(map(itemgetter(name), rows)) for name in names}
        except KeyError:
            pass
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: [row.get(name) for row in rows] for name in names}


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name} ({number})", number + 1
    return unused


def _move_types(found: Columns) -> None:
    """Make a column, the last one, of a type that is not the same in all rows.

    A missing type counts as a type, because Graph omits the type that it expects.
    """
    for name, values in found.annotations.items():
        if (name == TYPE or name.endswith(f".{TYPE}")) and len(set(map(str, values))) > 1:
            found.data[_unused(name, found.data)] = _column(values)


def _selected(found: Columns, select: Sequence[str] | str | None) -> dict[str, Column]:
    wanted = select.split(",") if isinstance(select, str) else select or ()
    ordered: dict[str, Column] = {}
    names = {name: name.casefold() for name in found.data}  # Graph ignores the case in $select
    for asked in wanted:
        parts = [part for part in asked.strip().split("/") if not part.startswith(_CAST)]
        name = ".".join(parts)
        if not name or name == "*" or ANNOTATION in name:
            continue
        folded = name.casefold()
        own = [each for each, low in names.items() if low == folded or low.startswith(f"{folded}.")]
        if own:
            ordered |= {each: found.data[each] for each in own if each not in ordered}
        elif folded not in map(str.casefold, ordered):
            ordered[name] = _column([None] * found.height)
    return ordered | {name: each for name, each in found.data.items() if name not in ordered}
