"""Finds a secret in written data, in any encoding."""

from __future__ import annotations

import base64
import html
import json
import secrets
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

_DEEPEST = 4
_LARGEST = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b\x08"


def make_canary(label: str = "canary") -> str:
    """Make a unique secret, with characters that encodings change."""
    return f"{label}.{secrets.token_hex(16)}/+=\"é'~{secrets.token_hex(8)}"


def forms(secret: str) -> dict[str, tuple[bytes, ...]]:
    """The byte strings to search for, by the name of the encoding; each is the whole secret."""
    raw = secret.encode()
    percent = quote(secret, safe="")
    escaped = json.dumps(secret)[1:-1]
    found = {
        "raw": (raw,),
        "utf-16": (secret.encode("utf-16-le"), secret.encode("utf-16-be")),
        "url": (
            percent.encode(),
            percent.replace("%20", "+").encode(),
            _lower_percent(percent).encode(),
            quote(secret).encode(),
            "".join(f"%{byte:02X}" for byte in raw).encode(),
        ),
        "json": (
            escaped.encode(),
            escaped.replace("/", "\\/").encode(),
            json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
            json.dumps(escaped)[1:-1].encode(),  # JSON within JSON
        ),
        "repr": (
            repr(secret)[1:-1].encode(),
            ascii(secret)[1:-1].encode(),
            repr(raw)[2:-1].encode(),
        ),
        "html": (html.escape(secret).encode(), html.escape(secret, quote=False).encode()),
        "hex": (raw.hex().encode(), raw.hex().upper().encode()),
        "base64": tuple(_base64(raw)),
    }
    return {name: tuple(dict.fromkeys(needles)) for name, needles in found.items()}


def find(secret: str, data: bytes | str) -> list[str]:
    """The names of the encodings in which the data contain the secret; ``[]`` if they do not.

    Gzip and zlib streams anywhere in the data are unpacked and searched too (``"gzip:raw"``).
    """
    if len(secret) < 8:
        raise ValueError("a secret this short may be found by accident")
    return list(dict.fromkeys(_find(forms(secret), _bytes(data), 0)))


def scan(secrets_: Iterable[str], paths: Iterable[Path]) -> list[str]:
    """Search files and folders; return one line for each find, which does not repeat the secret."""
    wanted = list(secrets_)
    return [
        f"{file}: secret {number} as {form}"
        for path in paths
        for file in sorted(path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
        for number, secret in enumerate(wanted)
        for form in find(secret, file.read_bytes())
    ]


def _find(needles: dict[str, tuple[bytes, ...]], data: bytes, depth: int) -> Iterator[str]:
    for name, variants in needles.items():
        if any(variant in data for variant in variants):
            yield name
    if depth < _DEEPEST:
        for unpacked in _unpacked(data):
            for name in _find(needles, unpacked, depth + 1):
                yield f"gzip:{name}"


def _unpacked(data: bytes) -> Iterator[bytes]:
    for magic, bits in ((_GZIP, 31), (b"\x78\x01", 15), (b"\x78\x9c", 15), (b"\x78\xda", 15)):
        at = data.find(magic)
        while at != -1:
            unpacker = zlib.decompressobj(bits)
            try:
                unpacked = unpacker.decompress(data[at:], _LARGEST)
            except zlib.error:
                unpacked = b""
            if unpacked:
                yield unpacked
            at = data.find(magic, at + 1)


def _base64(raw: bytes) -> Iterator[bytes]:
    """The base64 texts of the secret at each of the three possible offsets in a group."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        start = -(-before * 8 // 6)  # the first characters also depend on what precedes
        end = (before + len(raw)) * 8 // 6  # and the last on what follows
        yield encoded[start:end]
        yield encoded[start:end].translate(bytes.maketrans(b"+/", b"-_"))


def _lower_percent(text: str) -> str:
    head, *rest = text.split("%")
    return "".join([head, *(f"%{part[:2].lower()}{part[2:]}" for part in rest)])


def _bytes(data: bytes | str) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
