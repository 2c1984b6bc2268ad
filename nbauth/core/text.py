"""Text of others, made harmless: what a provider or a browser says is shown, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_UNPRINTABLE = re.compile("\0+")
_LONGEST = 300


def plain(text: object) -> str:
    """A provider's text as one harmless line, printable and at most 300 characters long.

    What moves the cursor, ends a line, turns the text round or cannot be written becomes a blank.
    """
    marked = "".join(letter if letter.isprintable() else "\0" for letter in str(text))
    line = _UNPRINTABLE.sub(" ", marked).strip()
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
