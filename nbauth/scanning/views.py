"""The texts of a file in one searchable text, and the way back to positions in the file."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

from nbauth.scanning.places import Path
from nbauth.scanning.strings import String, positions

Span = tuple[int, int]
SEPARATOR = "\0"
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]{0,20}[A-Za-z]|\][^\x07\x1b\x00]{0,200}(?:\x07|\x1b\\))")
_WIDE = r"(?<=[A-Za-z0-9_.~+/=-]{32}"
_BREAK = re.compile(
    rf"\n(?:{_WIDE}\n)|{_WIDE}[\"'\\\r]\n)|{_WIDE}[\"'][ \r\\]\n)|{_WIDE}[\"'] \\\n))"
    r"[ \t]{0,40}(?:[bfru]?[\"'])?(?=[A-Za-z0-9_.~+/=-]{12})"
)


class View:
    """Strings one after the other, with separators; some have a text before that is in no file."""

    def __init__(self, file_text: str) -> None:
        self._file_text = file_text
        self._parts: list[str] = []
        self._strings: list[String] = []
        self._starts: list[int] = []
        self._length = 0

    def add(self, string: String) -> None:
        """Append a string of the file."""
        self._strings.append(string)
        self._starts.append(self._length)
        self._parts.append(string.value)
        self._length += len(string.value)

    def add_text(self, text: str) -> None:
        """Append a text that is not in the file."""
        self._parts.append(text)
        self._length += len(text)

    def text(self) -> str:
        """All that was added."""
        return "".join(self._parts)

    def path_at(self, at: int) -> Path:
        """The path of the string at a position of the text."""
        return self._strings[self._index(at)].path

    def in_file(self, start: int, end: int) -> Iterator[Span]:
        """The spans of the file that a span of the text is made from."""
        for index in range(self._index(start), len(self._strings)):
            at, string = self._starts[index], self._strings[index]
            if at >= end:
                return
            first = max(start - at, 0)
            last = min(end - at, len(string.value))
            if first >= last:
                continue
            if string.end - string.start != len(string.value):
                written = self._file_text[string.start : string.end]
                first, last = positions(written, first, last)
            yield string.start + first, string.start + last

    def _index(self, at: int) -> int:
        return max(bisect.bisect_right(self._starts, at) - 1, 0)


class Cut:
    """A text without some of its spans, and the way back."""

    def __init__(self, text: str, spans: Iterable[Span]) -> None:
        parts: list[str] = []
        self._at: list[int] = []  # positions in the short text
        self._cut: list[int] = []  # how much was cut before this position, in all
        length = cut = end = 0
        for first, last in spans:
            parts.append(text[end:first])
            length += first - end
            cut += last - first
            self._at.append(length)
            self._cut.append(cut)
            end = last
        parts.append(text[end:])
        self.text = "".join(parts)

    def before(self, start: int, end: int) -> list[Span]:
        """The spans of the whole text for a span of the short one."""
        index = bisect.bisect_right(self._at, start)
        spans = []
        while start < end:
            stop = min(end, self._at[index] if index < len(self._at) else end)
            if stop > start:
                shift = self._cut[index - 1] if index else 0
                spans.append((start + shift, stop + shift))
            start = stop
            index += 1
        return spans


def escape_sequences(text: str) -> list[Span]:
    """The sequences that colour a text in a terminal."""
    if "\x1b" not in text:
        return []
    return [match.span() for match in _ESCAPES.finditer(text)]


def line_breaks(text: str) -> list[Span]:
    """Where a long run of token characters goes on in the next line, or in the next literal."""
    found: list[Span] = []
    for match in _BREAK.finditer(text):
        start = match.start()
        while text[start - 1] in "\"'\\\r ":
            start -= 1
        found.append((start, match.end()))
    return found
