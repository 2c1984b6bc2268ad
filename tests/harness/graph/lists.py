"""Lists: query options, pages, next links and delta queries, as strict as Graph."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import JSON_TYPE, Refused, Reply, dumps
from tests.harness.graph.rows import Collection, Row

OPTIONS = {
    "$top", "$skip", "$skiptoken", "$deltatoken", "$select", "$filter", "$count", "$search",
    "$orderby", "$format",
}  # fmt: skip
_TERM = re.compile(r"\s*([\w/]+)\s+(eq|ne)\s+('(?:[^']|'')*'|true|false|null|-?\d+)\s*$")
_STARTS = re.compile(r"\s*(startswith|endswith)\(\s*([\w/]+)\s*,\s*'((?:[^']|'')*)'\s*\)\s*$")
_SEARCH = re.compile(r'"(?:(\w+):)?([^"]*)"$')


def decoded(text: str, *, plus: bool = False) -> str:
    """Percent-decoded UTF-8; anything else is refused."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise Refused(400, "BadRequest", "The URL has a wrong percent encoding.")
    try:
        return unquote_to_bytes(text.replace("+", " ") if plus else text).decode()
    except UnicodeDecodeError:
        raise Refused(400, "BadRequest", "The URL is not UTF-8.") from None


def query_of(request: Recorded) -> list[tuple[str, str]]:
    """Names and values, decoded as Graph does: ``+`` is a space."""
    pairs = (part.partition("=") for part in request.raw_query.split("&") if part)
    return [(decoded(name, plus=True), decoded(value, plus=True)) for name, _, value in pairs]


def options_of(request: Recorded) -> dict[str, str]:
    """The query options; a repeated or unknown one is refused."""
    found: dict[str, str] = {}
    for name, value in query_of(request):
        if name in found:
            raise Refused(400, "BadRequest", f"Query option '{name}' was specified more than once.")
        if name.startswith("$") and name not in OPTIONS:
            raise Refused(400, "BadRequest", f"The query option '{name}' is not supported.")
        found[name] = value
    return found


def token(state: dict[str, Any]) -> str:
    """An opaque token; its ``+``, ``/`` and ``=`` need percent-encoding in a link."""
    return "m~+/" + base64.b64encode(dumps(state)).decode()


def state_of(text: str) -> dict[str, Any]:
    try:
        assert text.startswith("m~+/")
        state = json.loads(base64.b64decode(text[4:], validate=True))
    except (AssertionError, ValueError):
        message = "The skip token is not valid."
        raise Refused(400, "Directory_ExpiredPageToken", message) from None
    return dict(state)


def literal(text: str) -> Any:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return {"true": True, "false": False, "null": None}.get(text, text)


def at(row: Row, path: str) -> Any:
    value: Any = row
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def condition(text: str) -> tuple[Callable[[Row], bool], bool]:
    """A filter, and whether it is an advanced query of the directory."""
    if match := _TERM.match(text):
        path, operator, value = match[1], match[2], literal(match[3])
        if operator == "eq":
            return (lambda row: _same(at(row, path), value)), False
        return (lambda row: not _same(at(row, path), value)), True
    if match := _STARTS.match(text):
        how, path, value = match[1], match[2], literal(f"'{match[3]}'").lower()
        method = str.startswith if how == "startswith" else str.endswith
        return (lambda row: method(str(at(row, path)).lower(), value)), how == "endswith"
    raise Refused(400, "Request_UnsupportedQuery", f"Invalid filter clause: {text}")


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return value.lower() == wanted.lower()
    return bool(value == wanted or (isinstance(value, int) and str(value) == wanted))


def searched(rows: Iterable[Row], text: str) -> list[Row]:
    match = _SEARCH.match(text)
    if not match:
        raise Refused(400, "Request_BadRequest", f"Syntax error in $search: {text}")
    name, words = match[1], match[2].lower()
    return [
        row
        for row in rows
        if words in (str(row.get(name)) if name else " ".join(map(str, row.values()))).lower()
    ]


def selected(collection: Collection, row: Row, select: str) -> Row:
    if not select:
        names: Iterable[str] = collection.fields or row
    else:
        wanted = [name.strip() for name in select.split(",")]
        names = [name for name in row if name in wanted or name in ("id", "@odata.etag")]
        if unknown := [name for name in wanted if not re.fullmatch(r"\w+", name)]:
            raise Refused(400, "BadRequest", f"Could not find a property named '{unknown[0]}'.")
    return {name: row[name] for name in names}


def size_of_page(collection: Collection, request: Recorded, options: dict[str, str]) -> int:
    text = options.get("$top", "")
    if not text:
        prefer = re.search(r"odata\.maxpagesize=(\d+)", request.headers.get("prefer", ""))
        return min(int(prefer[1]), collection.largest_top) if prefer else collection.default_top
    if not text.isdigit() or int(text) < 1:
        raise Refused(400, "Request_BadRequest", f"Invalid page size specified: '{text}'.")
    size = int(text)
    if size <= collection.largest_top:
        return size
    if collection.oversize == "refuse":
        message = f"Invalid page size specified: '{text}'. Must be between 1 and "
        raise Refused(400, "Request_BadRequest", f"{message}{collection.largest_top} inclusive.")
    return collection.largest_top if collection.oversize == "cap" else collection.default_top


def link(request: Recorded, version: str, options: dict[str, str], **changes: str) -> str:
    """The request's address with other tokens."""
    kept = {name: value for name, value in options.items() if "token" not in name}
    added = {f"${name}": value for name, value in changes.items()}
    query = "&".join(
        f"{name}={quote(value, safe='~,()')}" for name, value in {**kept, **added}.items()
    )
    return f"{request.root}/{version}{request.raw_path.removeprefix('/' + version)}?{query}"


def page(collection: Collection, request: Recorded, version: str) -> Reply:
    """One page of a list."""
    options = options_of(request)
    state = state_of(options["$skiptoken"]) if "$skiptoken" in options else {}
    if state and state.get("list") != collection.name:
        raise Refused(400, "Directory_ExpiredPageToken", "The skip token is of another list.")
    test, advanced = condition(options["$filter"]) if "$filter" in options else (None, False)
    eventual = request.headers.get("consistencylevel", "").lower() == "eventual"
    counted = options.get("$count") == "true"
    _check_consistency(collection, options, eventual, advanced, state)
    rows: Iterable[Row] = collection.rows.values()
    if "$search" in options:
        rows = searched(rows, options["$search"])
    found = [row for row in rows if test is None or test(row)]
    if "$orderby" in options:
        name, _, order = options["$orderby"].partition(" ")
        found.sort(key=lambda row: str(at(row, name)), reverse=order.strip() == "desc")
    size = size_of_page(collection, request, options)
    start = int(state.get("from", options.get("$skip", 0)))
    shown = found[start : start + size]
    answer: dict[str, Any] = {"@odata.context": f"{request.root}/{version}/$metadata#x"}
    if counted and not state and (eventual or not collection.directory):
        answer["@odata.count"] = len(found)
    if start + size < len(found):
        needs = collection.directory and (
            eventual and (advanced or counted or "$search" in options)
        )
        rest = {name: value for name, value in options.items() if name != "$skip"}
        next_state = {"list": collection.name, "from": start + size, "eventual": needs}
        answer["@odata.nextLink"] = link(request, version, rest, skiptoken=token(next_state))
    select = options.get("$select", "")
    answer["value"] = [selected(collection, row, select) for row in shown]
    return Reply(200, dumps(answer), content_type=JSON_TYPE)


def _check_consistency(
    collection: Collection,
    options: dict[str, str],
    eventual: bool,
    advanced: bool,
    state: dict[str, Any],
) -> None:
    if not collection.directory:
        return
    if not eventual and (state.get("eventual") or "$search" in options):
        message = "This request needs the special header 'ConsistencyLevel: eventual'."
        raise Refused(400, "Request_UnsupportedQuery", message)
    if advanced and not (eventual and options.get("$count") == "true"):
        message = "Operator or function is not supported without ConsistencyLevel and $count."
        raise Refused(400, "Request_UnsupportedQuery", message)
