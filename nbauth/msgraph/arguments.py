"""Checks what a caller gives for any call of Graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import index
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.text import plain


def checked_limit(limit: object) -> int | None:
    """The most rows. Raises ``ConfigurationError`` for what is no number of rows."""
    try:
        number = None if limit is None else index(limit)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if isinstance(limit, bool) or (number is not None and number < 0):
        raise ConfigurationError(
            "limit has to be a whole number, not below 0.",
            code="bad_option",
            hint="Leave it out to read all rows.",
        )
    return number


def checked_headers(headers: Any) -> Mapping[str, str]:
    """Headers as a mapping. Raises ``ConfigurationError`` if they are none."""
    if headers is None or isinstance(headers, Mapping):
        return headers or {}
    raise ConfigurationError(
        "headers is a dict of names and values.", code="bad_option", hint='{"Prefer": "..."}'
    )


def as_json(body: object) -> bytes:
    """A body as JSON. Raises ``ConfigurationError`` for values that JSON cannot have."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        why = plain(error)[:200]
    raise ConfigurationError(
        f"The body cannot be sent as JSON: {why}.",
        code="bad_option",
        hint="JSON has texts, numbers, true, false, null, lists and objects. NaN becomes None, and"
        " a time its isoformat().",
    )
