"""The rows of the local Graph: the same in every run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

Row = dict[str, Any]
USER_FIELDS = (
    "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone",
    "officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id",
)  # fmt: skip
_GIVEN = ("Ada", "Grace", "Édith", "Søren", "李", "Niamh", "Ægir")
_SURNAMES = ("Lovelace", "Hopper", "O'Brien", "Müller", "小龙", "de la Cruz")
_START = datetime(2025, 1, 1, 8, 0, tzinfo=UTC)


def user_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def stamp(number: int) -> str:
    moment = _START + timedelta(minutes=17 * number)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def user(number: int) -> Row:
    """A user: 11 fields by default, two more when selected."""
    given, surname = _GIVEN[number % len(_GIVEN)], _SURNAMES[number % len(_SURNAMES)]
    address = f"user{number}@contoso.example"
    return {
        "businessPhones": [f"+1 425 555 {number % 10000:04d}"],
        "displayName": f"{given} {surname}",
        "givenName": given,
        "jobTitle": None if number % 5 == 0 else f"Engineer {number % 3}",
        "mail": None if number % 7 == 0 else address,
        "mobilePhone": None,
        "officeLocation": f"18/{number % 2500}",
        "preferredLanguage": "en-US",
        "surname": surname,
        "userPrincipalName": address,
        "id": user_id(number),
        "accountEnabled": number % 4 != 0,
        "createdDateTime": stamp(number),
    }


def message(number: int) -> Row:
    """A message with a nested sender, ISO stamps and a list."""
    name = f"{_GIVEN[number % len(_GIVEN)]} {_SURNAMES[number % len(_SURNAMES)]}"
    person = {"name": name, "address": f"user{number % 9}@contoso.example"}
    return {
        "@odata.etag": f'W/"CQAAABYAAAD{number}"',
        "id": f"AAMkAGI2{number:06d}-/+=",
        "createdDateTime": stamp(number),
        "lastModifiedDateTime": stamp(number + 1),
        "receivedDateTime": stamp(number),
        "subject": f"Report {number}: 100 % of “it”",
        "importance": ("low", "normal", "high")[number % 3],
        "isRead": number % 2 == 0,
        "hasAttachments": False,
        "categories": ["Blue", "Red"][: number % 3],
        "bodyPreview": f"Line one\r\nLine {number}",
        "sender": {"emailAddress": person},
        "from": {"emailAddress": person},
        "toRecipients": [
            {"emailAddress": {"name": "Ada", "address": f"user{at}@contoso.example"}}
            for at in range(number % 3)
        ],
        "flag": {"flagStatus": "notFlagged"},
    }


@cache
def _made(kind: str, count: int) -> tuple[Row, ...]:
    make = {"users": user, "messages": message}[kind]
    return tuple(make(number) for number in range(count))


@dataclass
class Collection:
    """One list of Graph, and what changed in it.

    Attributes:
        fields: the fields of a row when nothing is selected; empty: all.
        default_top: the size of a page without ``$top``.
        largest_top: the largest size of a page.
        oversize: what happens to a larger ``$top``: ``"refuse"``, ``"cap"`` or ``"ignore"``.
        directory: ``$search``, ``$count`` and some filters need ``ConsistencyLevel``.
        log: ids in the order of their changes, for delta queries.
        removed: the reason by the id of a removed row.
        replay: delta pages repeat their last row on the next page.
        version: changes with every change.
    """

    name: str
    rows: dict[str, Row]
    fields: tuple[str, ...] = ()
    default_top: int = 100
    largest_top: int = 999
    oversize: str = "refuse"
    directory: bool = True
    alternative_key: str = ""
    log: list[str] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)
    replay: bool = False
    version: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Row | None:
        if key in self.rows or not self.alternative_key:
            return self.rows.get(key)
        wanted = key.lower()
        found = (row for row in self.rows.values() if str(row[self.alternative_key]) == wanted)
        return next(found, None)

    def add(self, row: Row) -> Row:
        return self._changed(row["id"], row)

    def change(self, ident: str, **values: Any) -> Row:
        return self._changed(ident, {**self.rows[ident], **values})

    def remove(self, ident: str, reason: str = "deleted") -> None:
        self._changed(ident, None, reason)

    def _changed(self, ident: str, row: Row | None, reason: str = "") -> Row:
        with self._lock:
            if row is None:
                del self.rows[ident]
                self.removed[ident] = reason
            else:
                self.rows[ident] = row
                self.removed.pop(ident, None)
            self.log.append(ident)
            self.version += 1
        return row or {}


def users(count: int) -> Collection:
    rows = {row["id"]: row for row in _made("users", count)}
    return Collection("users", rows, USER_FIELDS, alternative_key="userPrincipalName")


def messages(count: int) -> Collection:
    rows = {row["id"]: row for row in _made("messages", count)}
    return Collection("messages", rows, default_top=10, largest_top=1000, directory=False)
