"""A request to the local Graph, its reply, and Microsoft Graph's error resource."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .grants import AccessToken

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One reply, on its own or inside a batch; a body of `bytes` or `str` is sent as it is."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One authorized request: `segments` is the path below the version, `query` its options."""

    method: str
    root: str  # https://127.0.0.1:PORT/v1.0
    segments: tuple[str, ...]
    query: Mapping[str, str]
    token: AccessToken
    text: str  # the bearer token itself, to tell one from another
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""

    @property
    def is_eventual(self) -> bool:
        """Whether the caller accepts eventually consistent results."""
        return self.headers.get("consistencylevel", "").lower() == "eventual"

    @property
    def owner(self) -> str:
        """The object id of the signed-in person."""
        return self.token.grant.person.oid

    def json(self) -> Row:
        """The body as a JSON object. Raises Refused (400) for anything else."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refused(400, "BadRequest", "Unable to read JSON request payload.")
        return value


class Refused(Exception):
    """Ends the handling of a request with an error."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.answer = refusal(status, code, message, **headers)


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Microsoft Graph's error resource."""
    inner = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": str(uuid.uuid4()),
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": {"code": code, "message": message, "innerError": inner}}, named)


def stamp(moment: datetime) -> str:
    """A time as Microsoft Graph writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
