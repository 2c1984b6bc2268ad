"""The segments of a path of Graph: keys, functions and paths of files resolved."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from urllib.parse import unquote

QUOTED = re.compile(r"'[^']*(?:'|\Z)")
"""A text in an OData expression; a doubled quote is two texts."""
_ADDRESSED = frozenset({"items", "sites"})
"""The segment after one of these may end in a colon, which begins a path."""


@functools.lru_cache(maxsize=64)
def segments_of(path: str) -> tuple[str, ...]:
    """The decoded segments of a path below the version. A query is ignored.

    ``me/drive/root:/a/b:/content`` is an item by its path: ``me``, ``drive``, ``root``,
    ``content``. ``users('x')`` has a key: ``users``, ``x``. ``search(q='x')`` is ``search``.
    """
    pieces = _pieces(path.partition("?")[0].strip().strip("/"))
    segments: list[str] = []
    in_path = False
    for piece in pieces:
        if in_path:
            in_path = not piece.endswith(":")
        elif piece.endswith(":") and (
            piece.lower() == "root:" or (segments and segments[-1].lower() in _ADDRESSED)
        ):
            segments.append(piece[:-1])
            in_path = True
        else:
            segments += _resolved(piece)
    return tuple(segments)


def _pieces(path: str) -> list[str]:
    path = path.replace("%27", "'") if "(" in path else path
    pieces = path.split("/")
    if "('" in path or "='" in path:
        pieces = _joined(pieces)
    return [unquote(piece) if "%" in piece else piece for piece in pieces if piece]


def _joined(pieces: list[str]) -> list[str]:
    """Join the pieces of an argument in quotes that contains slashes."""
    joined: list[str] = []
    opened: list[str] = []
    for piece in pieces:
        odd = piece.count("'") % 2 == 1
        if opened:
            opened.append(piece)
            if odd:
                joined.append("/".join(opened))
                opened = []
        elif odd and "(" in piece:
            opened = [piece]
        else:
            joined.append(piece)
    return joined + opened


def _resolved(piece: str) -> Iterator[str]:
    """``users('x')`` is a key, ``delta()`` and ``search(q='x')`` are functions."""
    name, opened, arguments = piece.partition("(")
    if not opened or not name or not arguments.endswith(")"):
        yield piece
        return
    yield name
    key = arguments[:-1]
    if key and "=" not in QUOTED.sub("", key):
        yield key.strip("'")
