"""Scans the text of a notebook or of any other file, and removes what it finds."""

from __future__ import annotations

import bisect
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nbauth.scanning.patterns import Match, matches
from nbauth.scanning.places import Path, is_notebook, joined_with, place_of
from nbauth.scanning.strings import String, strings
from nbauth.scanning.views import SEPARATOR, Cut, Span, View, escape_sequences, line_breaks

REMOVED = "[REMOVED]"
"""What ``--clean`` writes in the place of a secret. JSON, HTML and Python need no escape in it."""
_NAMED = re.compile(r"token|secret|authorization|key\Z", re.IGNORECASE)
_SHORTEST = 12
_PASSES = 5


@dataclass(frozen=True)
class Finding:
    """A secret of a file. ``spans`` are its parts in the text of the file."""

    place: str
    kind: str
    shown: str
    length: int
    spans: tuple[Span, ...]

    def line(self) -> str:
        """What the report says, without the secret."""
        return f"{self.place}: {self.kind}, {self.shown}… ({self.length} characters)"


def scan(text: str) -> list[Finding]:
    """The secrets in the text of a file, in the order of the file."""
    document = _document(text)
    try:
        return _scan(text, document)
    except (LookupError, TypeError, AttributeError):  # members of one name twice, for example
        if document is None:
            raise
        return _scan(text, None)


def _scan(text: str, document: Any) -> list[Finding]:
    notebook = document if is_notebook(document) else None
    view = View(text)
    if document is None:
        view.add(String(text, 0, len(text), ()))
    else:
        for strings_ in _groups(text, notebook):
            _add(view, strings_)
    lines, found = _Lines(text), list[Finding]()
    again = _Spans()
    for match, parts in _secrets(view.text()):
        spans = tuple(span for part in parts for span in view.in_file(*part))
        if spans and not again.overlaps(spans[0]):
            place = f"line {lines.of(spans[0][0])}"
            if notebook is not None:
                place = _place(view.path_at(parts[0][0]), notebook)
            length = match.end - match.start
            found.append(Finding(place, match.kind, match.shown, length, spans))
            again.add(spans)
    return sorted(found, key=lambda finding: finding.spans[0])


def _place(path: Path, notebook: Any) -> str:
    """The place, shortened and without secrets: names of members are shown."""
    shown = (without_secrets(step)[:60] if isinstance(step, str) else step for step in path)
    return place_of(tuple(shown), notebook)


def clean(text: str) -> tuple[str, list[Finding]]:
    """The text without its secrets, and what they were. All other characters stay."""
    found: list[Finding] = []
    for _ in range(_PASSES):
        now = scan(text)
        if not now:
            break
        found += now
        text = _without(text, now)
    return text, found


def without_secrets(text: str) -> str:
    """A short text for people, with ``REMOVED`` in the place of secrets."""
    for match in reversed(matches(text)):
        text = text[: match.start] + REMOVED + text[match.end :]
    return text


def _without(text: str, found: list[Finding]) -> str:
    replaced = sorted(
        (span, REMOVED if not number else "")
        for finding in found
        for number, span in enumerate(finding.spans)
    )
    parts, at = [], 0
    for (start, end), instead in replaced:
        parts += [text[at:start], instead]
        at = max(at, end)
    return "".join([*parts, text[at:]])


def _document(text: str) -> Any:
    """The JSON document that the text is, or None."""
    if text[:1].strip("\ufeff \t\r\n{[") != "":
        return None
    try:
        document = json.loads(text.removeprefix("\ufeff"), strict=False)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) else None


def _groups(text: str, notebook: Any) -> Iterator[list[String]]:
    """The strings of a document; those that are parts of one text are together."""
    groups: dict[Path, list[String]] = {}
    parent: Path = ()
    group: list[String] | None = None
    for string in strings(text):
        path = string.path
        if string.is_name or notebook is None:
            key = path
        elif isinstance(path[-1], int) and path[:-1] == parent:  # an item of the same array
            key = parent if group is not None else path
        else:
            key = joined_with(path, notebook)
            parent = path[:-1] if isinstance(path[-1], int) else ()
            group = None if key == path else groups.setdefault(key, [])
        if key != path and group is not None:
            group.append(string)
        elif len(string.value) >= _SHORTEST:
            yield [string]
    yield from groups.values()
    for group in groups.values():  # where two items meet inside a line, letters hide a secret
        if any(not string.value.endswith("\n") for string in group[:-1]):
            yield from ([string] for string in group if len(string.value) >= _SHORTEST)


def _add(view: View, group: list[String]) -> None:
    first = group[0]
    name = first.path[-1] if first.path else ""
    named = not first.is_name and isinstance(name, str) and _NAMED.search(name)
    if named:
        view.add_text(f'"{name}": "')
    for string in group:
        view.add(string)
    view.add_text(f'"{SEPARATOR}' if named else SEPARATOR)


def _secrets(text: str) -> Iterator[tuple[Match, list[Span]]]:
    """The secrets, with their spans; escape sequences and line breaks may divide them."""
    plain = Cut(text, escape_sequences(text))
    found = matches(plain.text)
    for match in found:
        yield match, plain.before(match.start, match.end)
    breaks = line_breaks(plain.text)
    if not breaks:
        return
    joined = Cut(plain.text, breaks)
    taken = _Taken(found)
    for match in matches(joined.text):
        parts = joined.before(match.start, match.end)
        if len(parts) > 1 and not any(taken.overlaps(part) for part in parts):
            yield match, [span for part in parts for span in plain.before(*part)]


class _Spans:
    """Spans that do not overlap, in order."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, spans: tuple[Span, ...]) -> None:
        for span in spans:
            bisect.insort(self._spans, span)

    def overlaps(self, span: Span) -> bool:
        """Whether one of them overlaps this span."""
        index = bisect.bisect_left(self._spans, (span[1],))
        return index > 0 and self._spans[index - 1][1] > span[0]


class _Taken:
    def __init__(self, found: list[Match]) -> None:
        self._found = found

    def overlaps(self, span: Span) -> bool:
        index = bisect.bisect_right(self._found, span[0], key=lambda match: match.end)
        return index < len(self._found) and self._found[index].start < span[1]


class _Lines:
    """Counts lines, from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ends: list[int] | None = None

    def of(self, at: int) -> int:
        if self._ends is None:
            lengths = (len(line) for line in self._text.split("\n"))
            self._ends = list(itertools.accumulate(length + 1 for length in lengths))
        return bisect.bisect_right(self._ends, at) + 1
