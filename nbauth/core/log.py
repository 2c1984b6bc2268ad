"""Formats values for log records, without any text written by a person or a provider.

Our log records contain no secret, no user name and no query, so that a log can be shared in public.
The message of an exception may contain them; a record has only the exception's type and location.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from urllib.parse import urlsplit

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_MOST_PLACES = 6


def word(code: object) -> str:
    """An error code, if it is one word, else ``…``: a provider may send any text."""
    return str(code) if _WORD.fullmatch(str(code)) else "…"


def place(address: object) -> str:
    """The host, port and path of an address, without user name, query and fragment."""
    try:
        parts = urlsplit(str(address))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an invalid address"
    if not host.isprintable() or not parts.path.isprintable():
        return "an invalid address"
    return f"{host}{f':{port}' if port else ''}{parts.path}"


def trail(error: BaseException) -> str:
    """The type of an error and the lines of its traceback, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_PLACES:]
    lines = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    cause = error.__cause__ or error.__context__
    because = f", caused by {type(cause).__name__}" if cause is not None else ""
    return f"{type(error).__name__} at {lines or 'no line'}{because}"
