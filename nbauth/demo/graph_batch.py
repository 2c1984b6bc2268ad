"""JSON batching of the local Graph (OData JSON format 4.01, section 19)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from .graph_answers import Answer, Refused, Row, refusal

LIMIT = 20
Single = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Answers one member: method, URL below the root, headers, body."""


def batch(body: bytes, single: Single) -> Answer:
    """Up to 20 requests; the replies come back in another order on purpose.

    Raises Refused (400) for an envelope that Graph would refuse as a whole.
    """
    answers: dict[str, Answer] = {}
    for item in _members(body):
        needed = [answers.get(other) for other in item.get("dependsOn") or ()]
        if any(other is None or other.status >= 400 for other in needed):
            answers[item["id"]] = refusal(424, "FailedDependency", "A request before failed.")
        else:
            headers = {k.lower(): str(v) for k, v in (item.get("headers") or {}).items()}
            content = _content(item.get("body"))
            answers[item["id"]] = single(str(item["method"]).upper(), item["url"], headers, content)
    return Answer(200, {"responses": [_member(k, a) for k, a in reversed(answers.items())]})


def _members(body: bytes) -> list[Row]:
    try:
        items: list[Row] = json.loads(body)["requests"]
        ids = [item["id"] for item in items]
        urls = [str(item["url"]) for item in items if item["method"]]
    except (ValueError, TypeError, KeyError):
        raise _invalid("Invalid batch payload format.") from None
    if len(ids) > LIMIT:
        raise _invalid(f"A batch holds {LIMIT} requests at most.")
    if not all(isinstance(key, str) for key in ids) or len(set(ids)) != len(ids):
        raise _invalid("Each request needs an id of its own, a string.")
    if any("://" in url.partition("?")[0] for url in urls):
        raise _invalid("The URLs of a batch are relative.")
    for item in items:
        names = {name.lower() for name in item.get("headers") or {}}
        if item.get("body") is not None and "content-type" not in names:
            raise _invalid("A request with a body needs a Content-Type header.")
        if not set(item.get("dependsOn") or ()) <= set(ids):
            raise _invalid("A request depends on one that the batch does not have.")
    return items


def _content(body: Any) -> bytes:
    """A JSON body is in the envelope as it is; any other one is Base64."""
    if body is None:
        return b""
    if not isinstance(body, str):
        return json.dumps(body).encode()
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise _invalid("A body that isn't JSON must be Base64.") from None


def _member(key: str, answer: Answer) -> Row:
    member: Row = {"id": key, "status": answer.status}
    body = answer.body
    member["headers"] = {"Content-Type": "application/json", **answer.headers}
    if body is None:
        member["headers"] = dict(answer.headers)
    else:
        member["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return member


def _invalid(text: str) -> Refused:
    return Refused(400, "BadRequest", text)
