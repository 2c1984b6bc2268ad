"""What ``%graph`` completes and shows of paths: what Microsoft documents of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nbauth.msgraph.endpoints.endpoints import common_paths, known, largest_page
from nbauth.msgraph.magic.words import METHODS

if TYPE_CHECKING:
    from nbauth.jupyter.completion_values import Typed

_ODATA = re.compile(r"(?P<before>[?&(;/])(?P<name>\$\w*)\Z")
_OPTIONS = ("$select", "$filter", "$expand", "$orderby", "$search", "$top", "$count", "$skip")
_SEGMENTS = ("$count", "$value", "$ref")
_COMMON = 42
"""Paths that are offered before anything is typed."""


def offered(typed: Typed, positionals: tuple[str, ...]) -> tuple[str, list[str]] | None:
    """The fragment at the cursor and what may stand there; ``None`` if that is no path."""
    if found := _ODATA.search(typed.whole):
        names = _SEGMENTS if found["before"] == "/" else [f"{name}=" for name in _OPTIONS]
        begun = [name for name in names if name.startswith(found["name"])]
        return (found["name"], begun) if begun else None
    method = positionals[0].upper() if positionals else ""
    text = typed.whole
    if typed.option or positionals[1:] or (method and method not in METHODS):
        return None
    if text.startswith(("-", "$")) or re.search(r"\{\w*\Z|[?]", text):
        return None
    methods = [] if method else [one for one in METHODS if one.startswith(text.upper())]
    return text, [*methods, *_paths(text)]


def _paths(text: str) -> list[str]:
    """Common paths that begin with the text, and the next segments of documented paths."""
    every = common_paths()
    if not text:
        return list(every[:_COMMON])
    begun = [path for path in every[:_COMMON] if path.lower().startswith(text.lower())]
    *before, last = text.split("/")
    following = _following(every, before)
    below = ["/".join([*before, one]) for one in following if one.lower().startswith(last.lower())]
    return [one for one in dict.fromkeys([*begun, *below]) if one != text]


def _following(paths: Iterable[str], before: list[str]) -> Iterator[str]:
    """The segments, other than ids, that follow these ones in paths."""
    for path in paths:
        segments = path.split("/")
        if len(segments) > len(before) and all(map(_fits, segments, before)):
            following = segments[len(before)]
            if "{" not in following:
                yield following


def _fits(segment: str, typed: str) -> bool:
    return segment == "{id}" or segment.lower() == typed.lower()


def documented(method: str, path: str) -> list[str]:
    """Lines about a path, for a person."""
    found = known(method, path)
    if found is None:
        return [f"{method} {path}: nbauth knows nothing of this path.", _HELP]
    lines = [f"{method} {found.path}"]
    if found.scopes:
        lines.append(f"  scopes, one is enough: {', '.join(found.scopes)}")
    if found.roles:
        lines.append(f"  permissions of applications: {', '.join(found.roles)}")
    size = largest_page(path, {}) if method == "GET" else None
    if size is not None:
        lines.append(f"  largest page: {size:,} rows")
    return [*lines, _HELP]


_HELP = "  %graph? lists the options; %graph without ? at the end sends the request."
