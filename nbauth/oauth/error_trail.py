"""The correlation id and the time in an error response, for an administrator.

Entra and B2C send them as members of the JSON. In an authorization response they are only in the
text: ``… Trace ID: <GUID> Correlation ID: <GUID> Timestamp: 2026-01-09 02:02:12Z``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from nbauth.core.text import plain

_IN_TEXT = {
    "correlation_id": re.compile(r"Correlation ID:\s{0,4}([0-9A-F-]{8,64})", re.I),
    "timestamp": re.compile(
        r"Timestamp:\s{0,4}(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?)"
    ),
}
_REST = re.compile(r"\s+(?:Trace ID|Correlation ID|Timestamp):", re.I)
_LONGEST = 4_000
"""Characters of an error text that are read."""


class Trail(NamedTuple):
    """With what an administrator finds a request; either may be ``None``."""

    correlation_id: str | None
    timestamp: str | None


def trail_in(answer: object) -> Trail:
    """The correlation id and the time of an error response, from its members or its text."""
    members = answer if isinstance(answer, Mapping) else {}
    text = members.get("error_description")
    text = text[-_LONGEST:] if isinstance(text, str) else ""
    return Trail(*(_found(members.get(name), form, text) for name, form in _IN_TEXT.items()))


def without_trail(text: str) -> str:
    """The part of an error text that is for the person."""
    return _REST.split(text[:_LONGEST], maxsplit=1)[0]


def _found(member: object, form: re.Pattern[str], text: str) -> str | None:
    if isinstance(member, str) and (told := plain(member)):
        return told
    inside = form.search(text)
    return inside[1] if inside else None
