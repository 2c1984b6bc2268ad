"""What an answer holds, within limits: bytes, decompressed bytes, depth, elements, numbers.

A provider's JSON is read here alone. Libraries then get it written anew, in UTF-8 and with nothing
in it that one parser may read in another way than the next.
"""

from __future__ import annotations

import html
import json
import math
import re
import zlib
from collections.abc import Iterator
from typing import Any

import requests

from nbauth.core.text import plain

LIMIT = 500_000
"""Bytes of an answer, as it comes and decompressed. Two tokens with 3,000 groups have 300,000."""
ACCEPTED = "gzip, deflate"
"""Encodings that are asked for: those that the standard library can stop in the middle."""
DEEPEST = 64
"""Arrays and objects within each other; providers use fewer than ten."""
MOST = 20_000
"""Elements. A name and its value take six bytes of an answer, and two hundred of memory."""
_CHUNK = 64 * 1024
_LONGEST_NUMBER = 300
"""Digits; a longer integer fits no float, and Python reads none of more than 4,300."""
_MEMBERS = 16
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(Exception):
    """An answer that is over a limit; it has not been read to its end."""


class NotJson(ValueError):
    """A body that is no JSON, or none that can be read."""


def body_of(response: requests.Response) -> bytes:
    """Read a streamed response to its end, and decompress it.

    Raises ``TooLarge`` as soon as a limit is passed, ``NotJson`` for an encoding that was not
    asked for or that is broken; what the connection raises passes through.
    """
    raw = bytearray()
    for chunk in _chunks(response.raw):
        raw += chunk
        if len(raw) > LIMIT:
            raise TooLarge
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity") or not raw:
        return bytes(raw)
    if encoding not in _WINDOWS:
        raise NotJson(f"it is compressed by {plain(encoding)[:40]}, which was not asked for")
    try:
        return _decompressed(bytes(raw), _WINDOWS[encoding])
    except zlib.error:
        raise NotJson("its compressed data are broken") from None


def _chunks(raw: Any) -> Iterator[bytes]:
    if hasattr(raw, "stream"):
        return iter(raw.stream(_CHUNK, decode_content=False))
    return iter(lambda: raw.read(_CHUNK), b"")  # an adapter that is no urllib3


def _decompressed(raw: bytes, window: int) -> bytes:
    out = b""
    for _ in range(_MEMBERS):  # a gzip file may have several
        if not raw:
            return out
        unpack = zlib.decompressobj(window)
        try:
            out += unpack.decompress(raw, LIMIT + 1 - len(out))
        except zlib.error:
            if window != zlib.MAX_WBITS or out:
                raise
            window = -zlib.MAX_WBITS  # deflate, as many servers have understood the word
            continue
        if len(out) > LIMIT:
            raise TooLarge
        if not unpack.eof:
            raise zlib.error("it ends too early")
        raw = unpack.unused_data if window > zlib.MAX_WBITS else b""
    raise zlib.error("it has too many members")


def parse(body: bytes) -> Any:
    """The JSON value of a body. What is read with tolerance: a byte order mark, UTF-16, UTF-32,
    Latin-1, a name that comes twice (the last one holds), and numbers that are none, or that no
    float can hold (``None``).

    Raises ``NotJson`` with the reason, ``TooLarge``.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST:
        raise TooLarge
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            parse_int=_whole,
            parse_float=_number,
            parse_constant=lambda _: None,
        )
    except RecursionError:
        raise NotJson("it is nested too deep") from None
    except ValueError:
        raise NotJson("not JSON") from None
    if _is_deep(value):
        raise NotJson("it is nested too deep")
    return value


def written(value: Any) -> bytes:
    """A JSON value in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")  # half of a pair: "?"


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


def _number(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        inside = [one.values() if isinstance(one, dict) else one for one in level if _holds(one)]
        level = [one for some in inside for one in some if _holds(one)]
        if not level:
            return False
    return True


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list))


def title_of(body: bytes) -> str:
    """What a page of HTML is called, as one harmless line of at most 80 characters, or ``""``."""
    found = re.search(rb"<title[^>]{0,200}>([^<]{1,400})", body[:20_000], re.IGNORECASE)
    return plain(html.unescape(found[1].decode("utf-8", "replace")))[:80] if found else ""
