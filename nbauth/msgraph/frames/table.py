"""The rows of a response as a list that is displayed as a table. It needs no other library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from reprlib import Repr
from typing import Any

from nbauth.core.text import visible
from nbauth.msgraph.frames.flattening import columns_of

ROWS = 20
COLUMNS = 12
CELL = 40

_short = Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxstring = 3, 3, 3, CELL


class Table(list[Any]):
    """The rows as Graph sent them; ``attrs`` has the annotations of the response.

    At most 20 rows and 12 columns are displayed.
    """

    def __init__(
        self,
        rows: Iterable[Any] = (),
        *,
        select: Sequence[str] | str | None = None,
        attrs: Mapping[str, Any] | None = None,
        caption: str = "",
    ) -> None:
        super().__init__(rows)
        self._given_caption = caption
        self.attrs = dict(attrs or {})
        self._select = select

    def _repr_html_(self) -> str:
        names, rows, caption = self._shown()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f'<td dir="auto">{escape(cell)}</td>' for cell in row) + "</tr>"
            for row in rows
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"{table if names else ''}<p>{escape(caption)}</p>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from nbauth.core.columns import aligned

        names, rows, caption = self._shown()
        lines = aligned([names, *rows]) if names else []
        printer.text("\n".join([*lines, caption]))

    def _shown(self) -> tuple[list[str], list[list[str]], str]:
        columns = columns_of(self[:ROWS], self._select).data
        names = list(columns)[:COLUMNS]
        rows = zip(*(map(_cell, columns[name].values) for name in names), strict=True)
        return [_cell(name) for name in names], list(map(list, rows)), self._caption(len(columns))

    def _caption(self, columns: int) -> str:
        if self._given_caption:
            return self._given_caption
        rows = f"{len(self):,} row{'' if len(self) == 1 else 's'}"
        if len(self) > ROWS:
            rows = f"{ROWS} of {rows}"
        if columns > COLUMNS:
            return f"{rows}, {COLUMNS} of {columns} columns"
        return rows


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = visible(value[: 2 * CELL] if isinstance(value, str) else _short.repr(value))
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"
