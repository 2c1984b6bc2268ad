"""The directory of the local Graph: `users`, one user, `users/$count`, `users/delta`."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from .contents import ADA, DIRECTORY, SIGN_IN_PEOPLE
from .graph_answers import Answer, Call, Refused, Row, stamp
from .graph_delta import ChangeLog
from .graph_query import Kind, entity, filter_of, order_of, ordered, page

USERS = Kind(
    name="users",
    type_name="user",
    properties=frozenset(ADA.as_graph()),
    default=(
        "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone",
        "officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id",
    ),
    page=100,
    largest=999,
    size_error=(
        "Request_UnsupportedQuery",
        "Invalid page size specified: '{}'. Must be between 1 and 999 inclusive.",
    ),
)  # fmt: skip
_ADVANCED = frozenset({"ne", "not", "endswith"})
_FIXED = frozenset({"id", "createdDateTime", "userType"})
_REQUIRED = ("accountEnabled", "displayName", "mailNickname", "userPrincipalName")
_MOST_USERS = 2000


class Directory:
    """The users and what changed of them since the start."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {person.oid: person.as_graph() for person in DIRECTORY}
        self._changes = ChangeLog(USERS, self._rows)

    def delta(self, call: Call) -> Answer:
        return self._changes.answer(call)

    def users(self, call: Call) -> Answer:
        if call.method == "POST":
            return self._create(call)
        rows = _found(call, list(self._rows.values()))
        # Without the header Graph answers as if $count were absent.
        return page(call, USERS, rows, counts=call.is_eventual)

    def count(self, call: Call) -> Answer:
        if not call.is_eventual:
            raise Refused(400, "Request_BadRequest", "$count is not currently supported.")
        rows = _found(call, list(self._rows.values()), counted=True)
        return Answer(200, str(len(rows)), {"Content-Type": "text/plain"})

    def user(self, call: Call) -> Answer:
        wanted = call.segments[-1].lower()
        found = next((r for r in self._rows.values() if r["userPrincipalName"] == wanted), None)
        row = self._rows.get(wanted, found)
        if row is None:
            text = f"Resource '{wanted}' does not exist or one of its queried reference-property"
            raise Refused(404, "Request_ResourceNotFound", f"{text} objects are not present.")
        return self._change(call, row)

    def me(self, call: Call) -> Answer:
        return self._change(call, self._rows[call.owner])

    def _change(self, call: Call, row: Row) -> Answer:
        if call.method == "PATCH":
            changes = call.json()
            _check(changes)
            row.update(changes)
            self._changes.note(row["id"], frozenset(changes))
            return Answer(204)
        if call.method == "DELETE":
            if row["userPrincipalName"] in SIGN_IN_PEOPLE:
                raise _denied()
            del self._rows[row["id"]]
            self._changes.note(row["id"], frozenset())
            return Answer(204)
        return entity(call, USERS, row)

    def _create(self, call: Call) -> Answer:
        given = call.json()
        for name in (*_REQUIRED, "passwordProfile"):
            if name not in given:
                text = f"A value is required for property '{name}' of resource 'User'."
                raise Refused(400, "Request_BadRequest", text)
        given.pop("passwordProfile")
        _check(given)
        name = str(given["userPrincipalName"]).lower()
        if any(row["userPrincipalName"] == name for row in self._rows.values()):
            text = "Another object with the same value for property userPrincipalName exists."
            raise Refused(400, "Request_BadRequest", text)
        if len(self._rows) >= _MOST_USERS:
            raise Refused(403, "Directory_QuotaExceeded", "The directory object quota is reached.")
        empty: Row = {**dict.fromkeys(USERS.properties), "businessPhones": [], "userType": "Member"}
        row = empty | given | {
            "id": str(uuid.uuid4()),
            "userPrincipalName": name,
            "createdDateTime": stamp(datetime.now(UTC)),
        }  # fmt: skip
        self._rows[row["id"]] = row
        self._changes.note(row["id"], USERS.properties, is_new=True)
        return entity(call, USERS, row, 201)


def _check(changes: Row) -> None:
    for name in changes:
        if name not in USERS.properties:
            text = f"The property '{name}' does not exist on type 'microsoft.graph.user'."
            raise Refused(400, "Request_BadRequest", text)
        if name in _FIXED:
            text = f"Property '{name}' is read-only and cannot be set."
            raise Refused(400, "Request_BadRequest", text)


def _denied() -> Refused:
    text = "Insufficient privileges to complete the operation."
    return Refused(403, "Authorization_RequestDenied", text)


def _found(call: Call, rows: list[Row], *, counted: bool = False) -> list[Row]:
    """The users that `$filter` and `$search` leave, in the order of `$orderby`.

    Raises Refused (400) for an advanced query without what it needs.
    """
    wanted, keys = filter_of(call, USERS), order_of(call, USERS)
    search = call.query.get("$search")
    if search is not None and not call.is_eventual:
        text = "Request with $search query parameter only works through MSGraph with a special"
        raise Refused(
            400, "Request_UnsupportedQuery", f"{text} request header: 'ConsistencyLevel: eventual'"
        )
    advanced = wanted is not None and bool(wanted.operators & _ADVANCED or keys)
    counts = call.query.get("$count") == "true" or counted or search is not None
    if (advanced and not (call.is_eventual and counts)) or (
        wanted is not None and "contains" in wanted.operators
    ):
        raise Refused(400, "Request_UnsupportedQuery", "Unsupported Query.")
    if search is not None:
        rows = [row for row in rows if _matches(row, search)]
    if wanted is not None:
        rows = [row for row in rows if wanted.matches(row)]
    return ordered(rows, keys)


def _matches(row: Row, search: str) -> bool:
    """`"displayName:ada" OR "mail:g"`: words of one property that begin with the text."""
    clauses = re.findall(r'"([a-zA-Z]+):([^"]*)"', search)
    rest = re.sub(r'"[a-zA-Z]+:[^"]*"', "", search).split()
    if not clauses or set(rest) - {"AND", "OR"}:
        text = f"Syntax error: '{search}' is not a $search of the form \"property:value\"."
        raise Refused(400, "Request_BadRequest", text)
    tests = [
        any(word.startswith(value.casefold()) for word in _words(str(row.get(name) or "")))
        for name, value in clauses
    ]
    return all(tests) if "OR" not in rest else any(tests)


def _words(text: str) -> list[str]:
    folded = text.casefold()
    return [folded, *re.split(r"[\s.@-]+", folded)]
