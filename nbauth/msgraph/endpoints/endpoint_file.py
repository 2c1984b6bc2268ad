"""Reads ``endpoints.toml`` in two parts, because parsing the list of endpoints takes 8 ms."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

_ENTRY = "[[endpoint]]"


@functools.cache
def head() -> dict[str, Any]:
    """What stands before the list of endpoints."""
    import tomllib

    return tomllib.loads(_text().partition(_ENTRY)[0])


@functools.cache
def entries() -> list[dict[str, Any]]:
    """The list of endpoints."""
    import tomllib

    _, mark, rest = _text().partition(_ENTRY)
    found: list[dict[str, Any]] = tomllib.loads(mark + rest)["endpoint"]
    return found


def _text() -> str:
    return resources.files(__package__).joinpath("endpoints.toml").read_text("utf-8")
