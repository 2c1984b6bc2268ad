"""Finds JSON Web Tokens that are inside base64 text."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator

from nbauth.scanning.checks import is_example, web_token

_RUN = re.compile(r"[A-Za-z0-9+/_-]{60,}+")
_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){2,4}")
_TEXT = re.compile(rb"[A-Za-z0-9_.-]*+")
_STANDARD = str.maketrans("-_", "+/")
_FIRST = 64
_LONGEST = 64 * 1024
"""The longest token in base64 that is found."""


@functools.cache
def _anchors() -> tuple[tuple[str, int, int], ...]:
    """The base64 of ``eyJ`` at each offset in a group, the characters before it, the offset."""
    found = []
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + b"eyJ").decode()
        first = -(-offset * 8 // 6)  # the first characters depend on what precedes
        found.append((text[first : (offset + 3) * 8 // 6], first, offset))
    return tuple(found)


def encoded_tokens(text: str) -> Iterator[tuple[int, int]]:
    """The spans of base64 characters that hold a token."""
    for anchor, first, offset in _anchors():
        at = text.find(anchor)
        while at != -1:
            start, after = at - first, at + len(anchor)
            written = _text_at(text, start, offset) if start >= 0 else b""
            token = _TOKEN.match(written)
            end = start + -(-(offset + (token.end() if token else len(written))) * 4 // 3)
            if token and _is_token(token[0]):
                padding = len(text[end : end + 2]) - len(text[end : end + 2].lstrip("="))
                yield start, end + padding
            at = text.find(anchor, max(after, end - 4))


def _text_at(text: str, start: int, offset: int) -> bytes:
    """The characters of tokens at the start of this base64; decodes no more than needed."""
    length = _FIRST
    while True:
        run = _RUN.match(text, start, min(start + length, len(text)))
        if run is None:
            return b""
        decoded = _decoded(run[0])
        match = _TEXT.match(decoded, offset)
        found = match[0] if match else b""
        complete = offset + len(found) < len(decoded) or run.end() < start + length
        if complete or length >= _LONGEST:
            return found
        length *= 4


def _decoded(run: str) -> bytes:
    rest = len(run) % 4
    whole = run[:-1] if rest == 1 else run
    padding = "=" * (-len(whole) % 4)
    return base64.b64decode(whole.translate(_STANDARD) + padding)


def _is_token(token: bytes) -> bool:
    text = token.decode("ascii")
    return web_token(text) and not is_example(text)
