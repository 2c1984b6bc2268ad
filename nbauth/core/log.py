"""What a log may say: words and places, never a value that a person or a provider has written.

A record of ours carries no secret, no user name and no query, so that a log can be pasted in
public. What an exception says may hold all of these; a record names its kind and its place.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from urllib.parse import urlsplit

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_MOST_PLACES = 6


def word(code: object) -> str:
    """A code as it is, if it is a word; a provider's may be anything."""
    return str(code) if _WORD.fullmatch(str(code)) else "…"


def place(address: object) -> str:
    """The host, the port and the path of an address, without user name, query and fragment."""
    try:
        parts = urlsplit(str(address))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that cannot be read"
    if not host.isprintable() or not parts.path.isprintable():
        return "an address that cannot be read"
    return f"{host}{f':{port}' if port else ''}{parts.path}"


def trail(error: BaseException) -> str:
    """The kind of an error and the lines it came through, without its own words."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_PLACES:]
    lines = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    cause = error.__cause__ or error.__context__
    because = f", because of {type(cause).__name__}" if cause is not None else ""
    return f"{type(error).__name__} at {lines or 'no line'}{because}"
