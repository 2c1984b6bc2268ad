"""Finds known secrets in the bytes of a message, in any of their written forms.

A cell may print many megabytes, so a search must not look at every byte once for each secret. A
long needle is therefore found by samples: eight bytes at every 128th position of the data are
compared with all eight bytes of the needle that may stand there. Only after a hit, every needle is
searched for.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
_BREAK = re.compile(rb"(?:\\+[rn]|[\r\n]|\\u001b\[[0-9;]*m)+")
"""What may stand inside a needle: line breaks, also escaped ones, and colours of tracebacks."""

Fill = Callable[[int], bytes]
"""Returns the mask for a secret of this length."""


@dataclass(frozen=True)
class Needles:
    """What to search for, for one secret.

    Attributes:
        forms: its forms as text.
        packed: its forms in the bytes of a message.
        grams: samples of the long ones, as numbers.
        short: the short ones.
        parts: parts of the short ones that are base64, which may be written in lines.
    """

    forms: tuple[str, ...]
    packed: tuple[bytes, ...]
    grams: frozenset[int]
    short: tuple[bytes, ...]
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
        return cls((*plain, *encoded), found, frozenset(grams), short, tuple(dict.fromkeys(parts)))


class Search:
    """Searches for many secrets.

    Attributes:
        forms: all their forms as text.
    """

    def __init__(self, secrets: Iterable[Needles]) -> None:
        known = list(secrets)
        self.forms = [form for one in known for form in one.forms]
        needles = {needle for one in known for needle in one.packed}
        self._needles = sorted(needles, key=len, reverse=True)
        self._grams = frozenset().union(*(one.grams for one in known))
        self._parts = sorted({part for one in known for part in one.parts})
        short = {part for one in known for part in one.short}
        sampled = {part for part in short if len(part) >= SAMPLED} if len(short) > FEW else set()
        self._short = sorted(short - sampled)
        self._short_grams = {gram for part in sampled for gram in _grams(part[:SAMPLED])}

    def masked(self, data: bytes, fill: Fill) -> bytes:
        """The data with masks; the same object if they contain no secret."""
        if not self._suspects(data):
            return data
        done = data
        for needle in self._needles:
            if needle in done:
                done = done.replace(needle, fill(len(needle)))
        return self._masked_across_breaks(done, fill)

    def _suspects(self, data: bytes) -> bool:
        """Whether the data may contain a secret."""
        if any(part in data for part in self._short):
            return True
        if len(data) <= SMALL and any(part in data for part in self._parts):
            return True
        words = memoryview(data)[: len(data) // SAMPLE * SAMPLE].cast("Q")
        if self._short_grams and not self._short_grams.isdisjoint(words[:: SHORT_STRIDE // SAMPLE]):
            return True
        return bool(self._grams) and not self._grams.isdisjoint(words[:: STRIDE // SAMPLE])

    def _masked_across_breaks(self, data: bytes, fill: Fill) -> bytes:
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
        joined, spans = b"".join(pieces), []
        for needle in self._needles:
            where = joined.find(needle)
            while where >= 0:
                spans.append((where, where + len(needle)))
                where = joined.find(needle, where + 1)

        def in_data(offset: int) -> int:
            piece = bisect_right(offsets, offset) - 1
            return starts[piece] + offset - offsets[piece]

        done = data
        for first, last in _merged(spans)[::-1]:
            begin, end = in_data(first), in_data(last - 1) + 1
            done = done[:begin] + fill(end - begin) + done[end:]
        return done


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
