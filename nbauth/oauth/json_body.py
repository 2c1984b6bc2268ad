"""Reads the JSON of a response, with limits on bytes, depth, elements and numbers.

All JSON of providers is parsed here. Libraries get it serialised again, in UTF-8 and in a form that
all parsers read in the same way.
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
"""Bytes of a response, compressed and decompressed. Two tokens with 3,000 groups need 300,000."""
ACCEPTED = "gzip, deflate"
"""Accepted encodings: those that the standard library can decompress up to a limit."""
DEEPEST = 64
"""Levels of nested arrays and objects; providers use fewer than ten."""
MOST = 20_000
"""Elements. A name and its value take at least six bytes of a response, but 200 of memory."""
_CHUNK = 64 * 1024
_LONGEST_NUMBER = 300
"""Digits; a longer integer does not fit a float, and Python rejects more than 4,300 digits."""
_MEMBERS = 16
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(Exception):
    """A response that exceeds a limit and was not read to its end."""


class NotJson(ValueError):
    """A body that is not valid JSON."""


def body_of(response: requests.Response) -> bytes:
    """Read a streamed response to its end, and decompress it.

    Raises ``TooLarge`` as soon as a limit is exceeded, and ``NotJson`` for an encoding that was not
    requested or is invalid. Errors of the connection are not caught.
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
        raise NotJson(f"it is compressed by {plain(encoding)[:40]}, which was not requested")
    try:
        return _decompressed(bytes(raw), _WINDOWS[encoding])
    except zlib.error:
        raise NotJson("its compressed data is invalid") from None


def _chunks(raw: Any) -> Iterator[bytes]:
    if hasattr(raw, "stream"):
        return iter(raw.stream(_CHUNK, decode_content=False))
    return iter(lambda: raw.read(_CHUNK), b"")  # an adapter without urllib3


def _decompressed(raw: bytes, window: int) -> bytes:
    out = b""
    for _ in range(_MEMBERS):  # gzip data may have several members
        if not raw:
            return out
        unpack = zlib.decompressobj(window)
        try:
            out += unpack.decompress(raw, LIMIT + 1 - len(out))
        except zlib.error:
            if window != zlib.MAX_WBITS or out:
                raise
            window = -zlib.MAX_WBITS  # many servers send "deflate" without the zlib header
            continue
        if len(out) > LIMIT:
            raise TooLarge
        if not unpack.eof:
            raise zlib.error("it ends too early")
        raw = unpack.unused_data if window > zlib.MAX_WBITS else b""
    raise zlib.error("it has too many members")


def parse(body: bytes) -> Any:
    """The JSON value of a body.

    Also accepted are a byte order mark, UTF-16, UTF-32, Latin-1, and duplicate names (the last one
    is used). NaN, infinity and numbers out of range become ``None``.

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
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        raise NotJson("not JSON") from None
    if _is_deep(value):
        raise NotJson("it is nested too deeply")
    return value


def written(value: Any) -> bytes:
    """A JSON value in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")  # lone surrogate: "?"


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
    """The title of an HTML page, as one printable line of at most 80 characters, or ``""``."""
    found = re.search(rb"<title[^>]{0,200}>([^<]{1,400})", body[:20_000], re.IGNORECASE)
    return plain(html.unescape(found[1].decode("utf-8", "replace")))[:80] if found else ""
