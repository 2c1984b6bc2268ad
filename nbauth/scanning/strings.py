"""Reads the strings of a JSON document with their positions in its text."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple

_NEXT = re.compile(r"[\s:,\ufeff]*+([{}\[\]\"]|[^\s{}\[\]\":,]++)")
_MORE = re.compile(r"\s*+,\s*+\"")
_UNIT = re.compile(r"[^\\]++|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.", re.DOTALL)


class String(NamedTuple):
    """A string between ``start`` and ``end`` of the text, without its quotes.

    ``path`` leads to it. Of the name of a member, it is the path of the value.
    """

    value: str
    start: int
    end: int
    path: tuple[str | int, ...]
    is_name: bool = False


def strings(text: str) -> Iterator[String]:
    """The strings of a valid document, names of members included, in the order of the text."""
    keys: list[str | int] = []
    objects: list[bool] = []
    expects_name = False
    at = 0
    while token := _NEXT.match(text, at):
        at = token.end()
        first = token[1]
        if first == '"':
            value, end = scanstring(text, at, False)
            if expects_name:
                keys[-1], expects_name = value, False
                yield String(value, at, end - 1, tuple(keys), True)
                at = end
                continue
            yield String(value, at, end - 1, tuple(keys))
            at = end
            if objects and not objects[-1]:
                at, keys[-1] = yield from _more(text, at, tuple(keys))
        elif first in "{[":
            expects_name = first == "{"
            objects.append(expects_name)
            keys.append("" if expects_name else 0)
            continue
        elif first in "}]":
            keys.pop()
            objects.pop()
        if objects:
            expects_name = objects[-1]
            last = keys[-1]
            if not expects_name and isinstance(last, int):
                keys[-1] = last + 1


def _more(
    text: str, at: int, path: tuple[str | int, ...]
) -> Generator[String, None, tuple[int, int]]:
    """The next items of an array as long as they are strings: most strings of a notebook."""
    *above, index = path
    parent = tuple(above)
    item = int(index)
    while match := _MORE.match(text, at):
        item += 1
        start = match.end()
        value, at = scanstring(text, start, False)
        yield String(value, start, at - 1, (*parent, item))
    return at, item


def positions(written: str, start: int, end: int) -> tuple[int, int]:
    """Where characters ``start`` to ``end`` of a string are in its written form with escapes."""
    return _position(written, start, is_end=False), _position(written, end, is_end=True)


def _position(written: str, wanted: int, *, is_end: bool) -> int:
    count = 0
    for unit in _UNIT.finditer(written):
        length = len(unit[0]) if unit[0][0] != "\\" else 1
        if count + length > wanted or (is_end and count + length == wanted):
            inside = wanted - count
            if unit[0][0] != "\\":
                return unit.start() + inside
            return unit.end() if inside else unit.start()
        count += length
    return len(written)
