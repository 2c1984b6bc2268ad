"""Makes text from a provider or a browser safe to show: control characters have no effect."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

_UNPRINTABLE = re.compile("\0+")
_LONGEST = 300
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# ── characters that only affect the display of their neighbours ─────────────────────────────────

_ARABIC = "\u0620-\u063f\u0641-\u064a\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\u08a0-\u08c7"
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_VIRAMA = (
    "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
    "\u0e3a\u0eba\u0f84\u1039\u103a\u1714\u1734\u17d2\u1a60\u1b44\u1baa\u1bab"
)
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe"
    "\u2600-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_ONE_EMOJI = f"[{_EMOJI}]\ufe0f?[\U0001f3fb-\U0001f3ff]?"
_JOINED = re.compile(
    "("
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"  # a region's flag
    f"|{_ONE_EMOJI}(?:\u200d{_ONE_EMOJI})+"
    f"|[{_EMOJI}]\ufe0f"
    "|[0-9#*]\ufe0f\u20e3"
    f"|[{_VIRAMA}][\u200c\u200d]"  # RFC 5892, appendix A: joiners that change what is seen
    f"|[{_ARABIC}]\u200c(?=[{_ARABIC}])"
    f"|[{_IDEOGRAPH}][\ufe00-\ufe0e\U000e0100-\U000e01ef]"
    "|[\u1820-\u18aa][\u180b-\u180d\u180f]"
    ")"
)
"""Emoji and letters with joiners or variation selectors, in the sequences of Unicode."""
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Invisible characters for which ``str.isprintable`` is true."""


def plain(text: object) -> str:
    """The text as one printable line of at most 300 characters.

    Characters that move the cursor, end a line, change the direction of the text, are invisible or
    cannot be printed become a space. Joined emoji and letters with joiners are not changed.
    """
    pieces = _JOINED.split(str(text))
    pieces[::2] = map(_marked, pieces[::2])
    line = _UNPRINTABLE.sub(" ", "".join(pieces)).strip()
    return line if len(line) <= _LONGEST else f"{line[: _end_before(line, _LONGEST)]}…"


def _marked(text: str) -> str:
    """The text with a NUL for each invisible character."""
    seen = "".join(letter if letter.isprintable() else "\0" for letter in text)
    return _BLANK.sub("\0", seen)


def _end_before(line: str, end: int) -> int:
    """Where to cut a long line without splitting a joined emoji or an accented letter."""
    for joined in _JOINED.finditer(line):
        if joined.start() < end < joined.end():
            return joined.start()
    while end > 1 and unicodedata.category(line[end]) in {"Mn", "Mc", "Me"}:
        end -= 1
    return end


def as_sentences(*texts: str) -> str:
    """Join texts as sentences: each ends with one full stop, unless it has another mark."""
    stripped = [text.strip() for text in texts]
    return " ".join(text if text[-1:] in ".!?…:" else f"{text}." for text in stripped if text)


def without_user(text: str) -> str:
    """An address, or a part of one, without user name and password."""
    scheme, mark, rest = text.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def web_address(address: str | None) -> str | None:
    """The address, if it may be opened in a browser: http or https, a host, printable."""
    if not address or not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
        return address if parts.scheme in {"http", "https"} and parts.hostname else None
    except ValueError:
        return None


def closest(word: str, known: Iterable[str]) -> str:
    """The known name most similar to ``word``, ``""`` if none is similar."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")


def visible(text: object) -> str:
    """As :func:`plain`, but control characters are written out (``\\x1b``), for a terminal."""
    return plain(_CONTROLS.sub(lambda found: ascii(found[0])[1:-1], str(text)))
