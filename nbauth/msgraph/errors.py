"""Responses of Graph that are refusals, as ``GraphError`` (Graph document: errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nbauth.core.errors import GraphError
from nbauth.core.text import plain
from nbauth.msgraph import json_text
from nbauth.oauth.answered import host_of

MOST_TEXT = 400
"""Characters of Graph's own sentence that a message repeats."""
MOST_PATH = 200


class Told(NamedTuple):
    """What an error response of Graph says."""

    code: str
    message: str
    request_id: str | None
    date: str | None


def told(body: object) -> Told:
    """What the body of an error response says; empty texts if it is not Graph's."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return Told("", "", None, None)
    inner = error.get("innerError") or error.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    return Told(
        _text(error.get("code")),
        _text(error.get("message")),
        _text(inner.get("request-id")) or None,
        _text(inner.get("date")) or None,
    )


def refusal(
    method: str,
    path: str,
    status: int,
    body: object,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
    why: str = "",
    hint: str | None = None,
) -> GraphError:
    """The error for a response.

    Args:
        method, path: of the request; the path is below the version, and shown.
        body: the parsed body, whatever it is.
        why: a sentence to add, for example why nbauth did not repeat the request.
        hint: what to do, if that is known better than by the status.
    """
    said = told(body)
    code = said.code or f"http_{status}"
    first = f"Graph refused {method} {plain(path)[:MOST_PATH]}: {status} {code}."
    words = f"{said.message[:MOST_TEXT].rstrip('. ')}." if said.message else ""
    return GraphError(
        " ".join(filter(None, (first, words, why))),
        code=code,
        hint=hint or hint_of(status, said.message),
        status=status,
        correlation_id=request_id or said.request_id,
        timestamp=said.date,
        retry_after=retry_after,
    )


def redirected(method: str, path: str, status: int, headers: Mapping[str, str]) -> GraphError:
    """The error for a redirect, which is followed by a download only."""
    where = host_of(headers.get("Location", ""))
    return GraphError(
        f"Graph redirected {method} {plain(path)[:MOST_PATH]} to {where} ({status}). nbauth does"
        " not follow such redirects.",
        code="redirected",
        hint="If this is the content of a file or a report, use graph.download.",
        status=status,
        correlation_id=headers.get("request-id"),
    )


def hint_of(status: int, message: str = "") -> str | None:
    """What to do next. ``message``: Graph's own sentence."""
    match status:
        case 400 if message.startswith("Resource not found for the segment"):
            return "Check the spelling of the path. In a notebook, Tab completes it after %graph."
        case 401:
            return "Sign in again: %login --force."
        case 403:
            return "The account or the application may not do this: see %token --show."
        case 404:
            return "Check the path and the id, and whether the account may see the object."
        case 429 | 503 | 504:
            return "Try again later."
    return None


def parsed(body: bytes) -> Any:
    """A body as JSON; ``None`` if it is not JSON."""
    try:
        return json_text.loads(body)
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str:
    return plain(value) if isinstance(value, str) else ""
