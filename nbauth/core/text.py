"""Text of others, made harmless: what a provider or a browser says is shown, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_UNSAFE = (
    re.compile(  # what moves the cursor, ends a line, turns the text round or cannot be written
        r"[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e"
        r"\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]+"
    )
)
_LONGEST = 300


def plain(text: object) -> str:
    """A provider's text as one harmless line: no control or bidi characters, at most 300 long."""
    line = _UNSAFE.sub(" ", str(text)).strip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def without_user(text: str) -> str:
    """An address, or a part of one, without its user name and password."""
    scheme, mark, rest = text.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def web_address(address: str | None) -> str | None:
    """The address, if it is one to send a browser to: http or https, a host, nothing hidden."""
    if not address or not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
        return address if parts.scheme in {"http", "https"} and parts.hostname else None
    except ValueError:
        return None


def closest(word: str, known: Iterable[str]) -> str:
    """The name that was probably meant, ``""`` if none comes near."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")
