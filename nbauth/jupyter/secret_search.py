"""Finds known secrets in the bytes of a message, in any of their written forms.

A cell may print many megabytes, so a search must not look at every byte once for each secret. A
long needle is therefore found by samples: eight bytes at every 128th position of the data are
compared with all eight bytes of the needle that may stand there. Only after a hit, the needles of
the secret that was hit are searched for.
"""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nbauth.jupyter.written_forms import base64_forms, packed, plain_forms

STRIDE = 128
SAMPLE = 8
LONG = 2 * STRIDE + SAMPLE - 1
"""The shortest needle that has two samples. A line break in it hides at most one of them, as
``base64.encodebytes`` breaks lines after 76 letters."""
FEW = 25
"""Up to this number, the short needles are searched for one by one."""
SMALL = 2**18
"""In larger messages, a short secret in base64 is not found if a line break is in it."""
SHORT_STRIDE = 16
SAMPLED = SHORT_STRIDE + SAMPLE - 1
_BACKSLASH = 0x5C
_BREAK = re.compile(rb"(?:(?:\\+[rn]|[\r\n]|\\u001b\[[0-9;]*m) *)+")
"""What may stand inside a needle: line breaks, also escaped ones or with indentation, and the
colours of tracebacks."""

Fill = Callable[[int], bytes]
"""Returns the mask for a secret of this length."""


@dataclass(frozen=True)
class Needles:
    """What to search for, for one secret.

    Attributes:
        forms: its forms as text.
        packed: its forms in the bytes of a message.
        in_json: those that are whole parts of a JSON string: no quote and no half of an escape.
        grams: samples of the long ones, as numbers.
        short: the short ones.
        short_grams: samples of the short ones.
        parts: parts of the short ones that are base64, which may be written in lines.
    """

    forms: tuple[str, ...]
    packed: tuple[bytes, ...]
    in_json: tuple[bytes, ...]
    grams: frozenset[int]
    short: tuple[bytes, ...]
    short_grams: frozenset[int]
    parts: tuple[bytes, ...]

    @classmethod
    def of(cls, secret: str) -> Needles:
        plain, encoded = plain_forms(secret), base64_forms(secret)
        in_lines = [text.encode() for text in encoded]
        as_is = [needle for form in plain for needle in packed(form)]
        grams: set[int] = set()
        found = tuple(dict.fromkeys((*as_is, *in_lines)))
        for needle in found:
            if len(needle) >= LONG:  # of its end: the beginnings of a provider's tokens are alike
                grams.update(_grams(needle[-LONG:]))
        short = tuple(needle for needle in found if len(needle) < LONG)
        parts = [
            part
            for needle in map(str.encode, encoded)
            if len(needle) < LONG
            for part in _two_parts(needle)
        ]
        return cls(
            forms=(*plain, *encoded),
            packed=found,
            in_json=tuple(needle for needle in found if _is_in_json(needle)),
            grams=frozenset(grams),
            short=short,
            short_grams=frozenset(gram for needle in short for gram in _first_grams(needle)),
            parts=tuple(dict.fromkeys(parts)),
        )


class Search:
    """Searches for many secrets.

    Attributes:
        forms: all their forms as text.
    """

    def __init__(self, secrets: Iterable[Needles]) -> None:
        self._secrets = known = list(secrets)
        self.forms = [form for one in known for form in one.forms]
        self._grams = frozenset().union(*(one.grams for one in known))
        self._parts = sorted({part for one in known for part in one.parts})
        short = {part for one in known for part in one.short}
        sampled = {part for part in short if len(part) >= SAMPLED} if len(short) > FEW else set()
        self._short = frozenset(short - sampled)
        self._short_grams = frozenset(gram for part in sampled for gram in _first_grams(part))

    def masked(self, data: bytes, fill: Fill, *, in_json: bool = False) -> bytes:
        """The data with masks; the same object if they contain no secret.

        Args:
            in_json: whether the data are JSON, and must be JSON afterwards.
        """
        suspects = self._suspects(data)
        if not suspects:
            return data
        needles = {n for one in suspects for n in (one.in_json if in_json else one.packed)}
        found, done = sorted(needles, key=len, reverse=True), data
        for needle in found:
            if needle in done:
                spans = _spans(done, needle)
                done = _filled(done, spans, fill, in_json=in_json)
        return self._masked_across_breaks(done, found, fill, in_json=in_json)

    def _suspects(self, data: bytes) -> list[Needles]:
        """The secrets that the data may contain."""
        words = memoryview(data)[: len(data) // SAMPLE * SAMPLE].cast("Q")
        whole = part = grams = short_grams = frozenset[Any]()
        if self._short:
            whole = frozenset(needle for needle in self._short if needle in data)
        if self._parts and len(data) <= SMALL:
            part = frozenset(needle for needle in self._parts if needle in data)
        if self._grams:
            grams = self._grams.intersection(words[:: STRIDE // SAMPLE])
        if self._short_grams:
            short_grams = self._short_grams.intersection(words[:: SHORT_STRIDE // SAMPLE])
        if not (whole or part or grams or short_grams):
            return []
        return [
            one
            for one in self._secrets
            if not (
                whole.isdisjoint(one.short)
                and part.isdisjoint(one.parts)
                and grams.isdisjoint(one.grams)
                and short_grams.isdisjoint(one.short_grams)
            )
        ]

    def _masked_across_breaks(
        self, data: bytes, needles: list[bytes], fill: Fill, *, in_json: bool
    ) -> bytes:
        """Mask needles that contain line breaks or colours."""
        starts, offsets, pieces, at, length = [], [], [], 0, 0
        for found in (*_BREAK.finditer(data), None):
            end = len(data) if found is None else found.start()
            starts.append(at)
            offsets.append(length)
            pieces.append(data[at:end])
            length += end - at
            at = end if found is None else found.end()
        if len(pieces) == 1:
            return data
        joined = b"".join(pieces)

        def in_data(offset: int) -> int:
            piece = bisect_right(offsets, offset) - 1
            return starts[piece] + offset - offsets[piece]

        spans = [
            (in_data(first), in_data(last - 1) + 1)
            for needle in needles
            for first, last in _spans(joined, needle)
        ]
        return _filled(data, spans, fill, in_json=in_json)


def _spans(data: bytes, needle: bytes) -> list[tuple[int, int]]:
    """Where the needle stands."""
    found, at = [], data.find(needle)
    while at >= 0:
        found.append((at, at + len(needle)))
        at = data.find(needle, at + 1)
    return found


def _filled(data: bytes, spans: list[tuple[int, int]], fill: Fill, *, in_json: bool) -> bytes:
    """The data with a mask in the place of each span."""
    if in_json:
        spans = [span for span in spans if not _is_in_escape(data, span[0])]
    parts, at = [], 0
    for first, last in _merged(spans):
        parts += [data[at:first], fill(last - first)]
        at = last
    return b"".join([*parts, data[at:]])


def _is_in_json(needle: bytes) -> bool:
    """Whether this may be a part of a string in JSON: no quote and no half of an escape."""
    try:
        json.loads(b'"%b"' % needle)
    except ValueError:
        return False
    return True


def _is_in_escape(data: bytes, at: int) -> bool:
    """Whether the byte belongs to an escape that begins before it, as the n of a line break."""
    before = at
    while before and data[before - 1] == _BACKSLASH:
        before -= 1
    return (at - before) % 2 == 1


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order; overlapping ones as one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first < merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _two_parts(needle: bytes) -> tuple[bytes, bytes]:
    """Two neighbouring parts, of which a line break after 76 letters hides at most one."""
    length = min(len(needle) // 2, 30)
    return needle[-2 * length : -length], needle[-length:]


def _grams(needle: bytes) -> Iterable[int]:
    """Each run of eight bytes, as a number."""
    order = sys.byteorder
    return (int.from_bytes(needle[at : at + SAMPLE], order) for at in range(len(needle) - 7))


def _first_grams(needle: bytes) -> Iterable[int]:
    """The samples of a short needle: those of its first letters suffice."""
    return _grams(needle[:SAMPLED])
