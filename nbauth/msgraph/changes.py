"""The result of a delta query, and how the versions of a row become one."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from nbauth.core.text import plain

REMOVED = "@removed"
_PARTS = "@delta"
"""The end of the name of a list that may continue in another version of the row."""


class Changes(tuple[list[Any], str]):
    """What has changed: ``rows, state = changes``.

    Attributes:
        removed: the ids of removed rows, each with its reason, ``"deleted"`` or ``"changed"``.
        reset: whether the service had dropped the state, so that ``rows`` are all rows.
        next_link: after an interrupt or an error, the state to go on with; ``None`` if complete.
    """

    removed: dict[str, str]
    reset: bool
    next_link: str | None

    def __new__(
        cls,
        rows: list[Any],
        state: str,
        removed: dict[str, str],
        *,
        reset: bool = False,
        is_complete: bool = True,
    ) -> Changes:
        made = super().__new__(cls, (rows, state))
        made.removed, made.reset = removed, reset
        made.next_link = None if is_complete else state
        return made

    def __getnewargs_ex__(self) -> Any:
        options = {"reset": self.reset, "is_complete": self.next_link is None}
        return (*self, self.removed), options

    def __repr__(self) -> str:
        more = ", reset" if self.reset else ""
        more += "" if self.next_link is None else ", not complete"
        return f"<Changes: {len(self.rows):,} rows, {len(self.removed):,} removed{more}>"

    @property
    def rows(self) -> list[Any]:
        """The last version of each row that is new or has changed."""
        return self[0]

    @property
    def state(self) -> str:
        """What to pass to the next call."""
        return self[1]

    def apply_to(self, known: MutableMapping[str, Any]) -> None:
        """Bring a dict of rows by their id up to date.

        A service may send only the properties that have changed, so the others stay.
        """
        if self.reset:
            known.clear()
        for row in self.rows:
            if ident := id_of(row):
                known[ident] = {**known.get(ident, {}), **row}
        for ident in self.removed:
            known.pop(ident, None)


def id_of(row: Any) -> str | None:
    """The id of a row, if it has one."""
    ident = row.get("id") if isinstance(row, dict) else None
    return ident if isinstance(ident, str) else None


def removal(row: Mapping[str, Any]) -> str | None:
    """Why a row was removed; ``None`` if it was not. Drives say it with a facet."""
    if (removed := row.get(REMOVED)) is not None:
        reason = removed.get("reason") if isinstance(removed, dict) else None
        return plain(reason) if isinstance(reason, str) else "deleted"
    return "deleted" if isinstance(row.get("deleted"), dict) else None


def merged(before: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The last version. A long list of changes (``members@delta``) is spread over several."""
    lists = [name for name, value in before.items() if name.endswith(_PARTS) and value]
    if not lists:
        return row
    made = {**before, **row}
    for name in lists:
        parts = [*before[name], *row.get(name, ())]
        by_id = {part.get("id"): part for part in parts if isinstance(part, dict)}
        made[name] = list(by_id.values())
    return made
