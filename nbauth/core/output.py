"""Lines for people on any stream: in an encoding without arrows, on a full disk, on none at all."""

from __future__ import annotations

import codecs
import os
import sys
from typing import Any

FALLBACK = "nbauth-ascii"
"""The name of the error handler that writes in ASCII what an encoding has no letter for."""
_ASCII = str.maketrans({
    "→": "->", "–": "-", "—": "-", "…": "...", "•": "*", "‑": "-", "\u00a0": " ",
    "‘": "'", "’": "'", "“": '"', "”": '"', "×": "x",
})  # fmt: skip


class OutputGone(Exception):
    """What was to be written can't be: the disk is full, or the reader of a pipe has gone."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ASCII)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(FALLBACK, _in_ascii)


def fitting(text: str, stream: Any = None) -> str:
    """The text as the stream can take it; ``None`` is what ``print`` writes to."""
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, FALLBACK).decode(encoding)
    except (LookupError, TypeError, UnicodeError):  # an encoding that somebody else wrote
        return text.encode("ascii", "backslashreplace").decode("ascii")


def write(*lines: str, stream: Any = None) -> None:
    """Print lines, an ``OutputGone`` being raised where that can't be done."""
    try:
        print(fitting("\n".join(lines), stream), file=stream, flush=True)
    except (OSError, ValueError) as error:  # ValueError: a closed file
        raise OutputGone from error


def fit_streams() -> None:
    """In a process of our own: all that is printed is written in ASCII where it has to be."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors in {"strict", "backslashreplace"}:
            stream.reconfigure(errors=FALLBACK)


def flush() -> None:
    """Write what is buffered. Raises ``OutputGone``."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            raise OutputGone from error


def discard() -> None:
    """Send what is buffered nowhere, so that flushing it at exit raises nothing."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):
            continue
    os.close(nowhere)
