"""Delta query: pages of everything, then a link that gives what changed since."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace

from .graph_answers import Answer, Call, Refused, Row
from .graph_query import Kind, encoded, link_to, page_size, selected

_MOST_CHANGES = 10_000


@dataclass(frozen=True)
class _State:
    """What a link says: the changes its holder has seen, and the next row of a first round."""

    seen: int
    select: str
    at: int | None


class ChangeLog:
    """What was created, changed or removed in `rows` since the start."""

    def __init__(self, kind: Kind, rows: Mapping[str, Row]) -> None:
        self._kind = kind
        self._rows = rows
        self._keys = list(rows)  # only ever grows, so that places in it keep their meaning
        self._changes: list[tuple[str, frozenset[str]]] = []
        self._instance = secrets.token_urlsafe(6)  # a state of another process is unknown here

    def note(self, key: str, names: frozenset[str], *, is_new: bool = False) -> None:
        """Tell that these properties of a row changed, or that it is new or gone."""
        if is_new:
            self._keys.append(key)
        self._changes.append((key, names))
        if len(self._changes) > _MOST_CHANGES:  # older states are unknown from here on
            self._changes.clear()
            self._instance = secrets.token_urlsafe(6)

    def answer(self, call: Call) -> Answer:
        """One page, of everything or of changes. Raises Refused (400, 410)."""
        unknown = set(call.query) - {"$select", "$top", "$skiptoken", "$deltatoken"}
        if unknown:
            raise Refused(400, "Request_UnsupportedQuery", f"Not supported: {sorted(unknown)}.")
        token = call.query.get("$deltatoken") or call.query.get("$skiptoken")
        now = _State(len(self._changes), call.query.get("$select", ""), 0)
        if token == "latest":
            return self._last(call, [], now)
        state = self._state(call, token) if token else now
        asking = replace(call, query={"$select": state.select} if state.select else {})
        if state.at is None:
            return self._last(
                call, self._changed(asking, state.seen), replace(state, seen=now.seen)
            )
        end = state.at + page_size(call, self._kind)
        rows = [self._row(asking, key) for key in self._keys[state.at : end] if key in self._rows]
        if end >= len(self._keys):
            return self._last(call, rows, state)
        return self._page(call, rows, "nextLink", "$skiptoken", replace(state, at=end))

    def _changed(self, call: Call, seen: int) -> list[Row]:
        asked = {name.strip() for name in call.query.get("$select", "").split(",") if name}
        touched: dict[str, bool] = {}
        for key, names in self._changes[seen:]:
            touched[key] = touched.get(key, False) or not asked or bool(asked & names)
        rows: list[Row] = []
        for key, matters in touched.items():
            if key not in self._rows:
                rows.append({"id": key, "@removed": {"reason": "changed"}})
            elif matters:
                rows.append(self._row(call, key))
        return rows

    def _row(self, call: Call, key: str) -> Row:
        return {**selected(call, self._kind, self._rows[key]), "id": key}

    def _last(self, call: Call, rows: list[Row], state: _State) -> Answer:
        return self._page(call, rows, "deltaLink", "$deltatoken", replace(state, at=None))

    def _page(self, call: Call, rows: list[Row], name: str, option: str, state: _State) -> Answer:
        query = {"$top": call.query["$top"]} if "$top" in call.query else {}
        token = encoded(json.dumps([self._instance, *astuple(state)]))
        body = {
            "@odata.context": f"{call.root}/$metadata#{self._kind.name}",
            f"@odata.{name}": link_to(call, {**query, option: token}),
            "value": rows,
        }
        return Answer(200, body)

    def _state(self, call: Call, token: str) -> _State:
        try:
            instance, seen, select, at = json.loads(urlsafe_b64decode(token))
            if instance == self._instance:
                return _State(int(seen), str(select), None if at is None else int(at))
        except (ValueError, TypeError):
            pass
        text = "The sync state generation is not found; start with a full synchronization."
        path = "/".join(call.segments)
        location = f"{call.root}/{path}?$deltatoken="
        raise Refused(410, "syncStateNotFound", text, Location=location)
