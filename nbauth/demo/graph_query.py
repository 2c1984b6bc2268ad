"""Query options of collections: `$select`, `$filter`, `$orderby`, `$top`, `$count` and pages."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from .graph_answers import Answer, Call, Refused, Row
from .graph_filter import Filter, parse_filter, value_at

_OPTIONS = frozenset({"$top", "$select", "$count", "$filter", "$orderby", "$search"})


@dataclass(frozen=True)
class Kind:
    """What one service says of its collection."""

    name: str  # as @odata.context has it
    type_name: str
    properties: frozenset[str]
    default: tuple[str, ...]  # what an entity has without $select
    page: int
    largest: int
    size_error: tuple[str, str]  # error code and message of a $top that is too large
    skips: bool = False  # next links carry $skip, as Outlook's do, not $skiptoken


def selected(call: Call, kind: Kind, row: Mapping[str, Any]) -> Row:
    """The properties that `$select` names, or the default ones.

    Raises Refused (400) for a property that the type does not have.
    """
    text = call.query.get("$select", "")
    names = [name.strip() for name in text.split(",")]
    if not text or "*" in names:
        return {name: row[name] for name in (row if text else kind.default) if name in row}
    for name in names:
        if name.split("/")[0] not in kind.properties:
            raise _unknown(kind, name)
    always = [name for name in ("@odata.etag", "id") if kind.skips and name in row]
    return {name: row.get(name) for name in [*always, *(n.split("/")[0] for n in names)]}


def entity(call: Call, kind: Kind, row: Mapping[str, Any], status: int = 200) -> Answer:
    head = {"@odata.context": f"{call.root}/$metadata#{kind.name}/$entity"}
    return Answer(status, head | selected(call, kind, row))


def filter_of(call: Call, kind: Kind) -> Filter | None:
    """The request's `$filter`. Raises Refused (400) for a malformed one."""
    text = call.query.get("$filter")
    if text is None:
        return None
    try:
        return parse_filter(text, kind.properties)
    except ValueError as error:
        raise Refused(400, "BadRequest", f"Invalid filter clause: {error}") from None


def order_of(call: Call, kind: Kind) -> tuple[tuple[str, bool], ...]:
    """The paths of `$orderby`, each with whether it is descending."""
    keys = []
    for part in filter(None, call.query.get("$orderby", "").split(",")):
        path, _, direction = part.strip().partition(" ")
        if path.split("/")[0] not in kind.properties:
            raise _unknown(kind, path)
        if direction.strip() not in ("", "asc", "desc"):
            raise Refused(400, "BadRequest", f"Syntax error in $orderby: '{part}'.")
        keys.append((path, direction.strip() == "desc"))
    return tuple(keys)


def ordered(rows: Iterable[Row], keys: Sequence[tuple[str, bool]]) -> list[Row]:
    result = list(rows)
    for path, descending in reversed(keys):
        result.sort(key=lambda row: str(value_at(row, path) or "").casefold(), reverse=descending)
    return result


def page(call: Call, kind: Kind, rows: Sequence[Row], *, counts: bool) -> Answer:
    """One page, and an opaque link to the next (OData 4.01 protocol, section 11.2.6.7)."""
    link = "$skip" if kind.skips and "$search" not in call.query else "$skiptoken"
    offered = _OPTIONS | {link, "$skip"} if kind.skips else _OPTIONS | {link}
    unknown = {name for name in call.query if name.startswith("$")} - offered
    if unknown:
        raise Refused(400, "BadRequest", f"Not offered by the local Graph: {sorted(unknown)}.")
    top, start = page_size(call, kind), _start(call, link)
    body: Row = {"@odata.context": f"{call.root}/$metadata#{kind.name}"}
    if counts and call.query.get("$count") == "true" and not start:
        body["@odata.count"] = len(rows)
    if start + top < len(rows):
        place = str(start + top)
        token = place if link == "$skip" else encoded(f"page:{place}")
        body["@odata.nextLink"] = link_to(call, {**call.query, link: token})
    body["value"] = [selected(call, kind, row) for row in rows[start : start + top]]
    return Answer(200, body)


def page_size(call: Call, kind: Kind) -> int:
    text = call.query.get("$top", str(kind.page))
    if text.isdecimal() and 0 < int(text) <= kind.largest:
        return int(text)
    code, message = kind.size_error
    raise Refused(400, code, message.format(text))


def link_to(call: Call, query: Mapping[str, str]) -> str:
    path = "/".join(quote(segment) for segment in call.segments)
    return f"{call.root}/{path}?{urlencode(query, safe='$,')}"


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _start(call: Call, link: str) -> int:
    try:
        if link == "$skip":
            return max(0, int(call.query.get(link, "0")))
        token = call.query.get(link, "")
        return int(base64.urlsafe_b64decode(token).split(b":")[1]) if token else 0
    except (ValueError, IndexError):
        raise Refused(400, "Directory_ExpiredPageToken", f"Invalid value of {link}.") from None


def _unknown(kind: Kind, name: str) -> Refused:
    text = f"Could not find a property named '{name}' on type 'microsoft.graph.{kind.type_name}'."
    return Refused(400, "BadRequest", f"Parsing OData Select and Expand failed: {text}")
