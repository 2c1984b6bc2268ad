"""Prints lines to any stream: with a limited encoding, on a full disk, or to no stream at all.

Control characters, such as escape sequences in a name, are written as ``\\x1b``.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from typing import Any

FALLBACK = "nbauth-ascii"
"""The name of the codec error handler that replaces unencodable characters by ASCII."""
_ASCII = str.maketrans({
    "→": "->", "–": "-", "—": "-", "…": "...", "•": "*", "‑": "-", "\u00a0": " ",
    "‘": "'", "’": "'", "“": '"', "”": '"', "×": "x",
})  # fmt: skip
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
"""Control characters except tab and line feed, and characters that change the text direction."""


class OutputGone(Exception):
    """Output cannot be written: the disk is full, or the pipe is closed."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ASCII)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(FALLBACK, _in_ascii)


def fitting(text: str, stream: Any = None) -> str:
    """The text in characters that the stream can encode, without those that a terminal obeys.

    ``None`` stands for ``sys.stdout``.
    """
    text = _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, FALLBACK).decode(encoding)
    except (LookupError, TypeError, UnicodeError):  # a custom or invalid encoding
        return text.encode("ascii", "backslashreplace").decode("ascii")


def write(*lines: str, stream: Any = None) -> None:
    """Print lines. Raises ``OutputGone``."""
    try:
        print(fitting("\n".join(lines), stream), file=stream, flush=True)
    except (OSError, ValueError) as error:  # ValueError: a closed file
        raise OutputGone from error


def fit_streams() -> None:
    """Make this process's output streams replace unencodable characters by ASCII."""
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
    """Discard buffered output, so that the flush at exit raises nothing."""
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
