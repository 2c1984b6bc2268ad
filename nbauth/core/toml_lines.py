"""The line numbers of the keys in a TOML text, which ``tomllib`` does not give.

Imported only to report a mistake. It also reads invalid TOML, as far as possible.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str, ...]

DEEPEST = 50
"""How many parts of a dotted key are compared; settings have four."""

_TOKEN = re.compile(
    r"""(?P<text>"{3}(?:\\.|[^\\])*?(?:"{3,5}|\Z)|'{3}.*?(?:'{3,5}|\Z)"""
    r"""|"(?:\\[^\n]|[^"\\\n])*"?|'[^'\n]*'?)"""
    r"""|(?P<comment>\#[^\n]*)|(?P<newline>\n)|(?P<mark>[\[\]{}=,])|(?P<bare>[^\s=,\[\]{}"'#.]+)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)


class _Scanner:
    """Reads keys token by token; ``found`` has each key with its line, in the order of the text."""

    def __init__(self, text: str) -> None:
        self.found: list[tuple[Path, int]] = []
        self._starts = [match.end() for match in re.finditer("\n", text)]
        self._text = text
        self._table: Path = ()
        self._inside: list[tuple[str, Path]] = []  # arrays and inline tables around this token
        self._key: list[str] = []
        self._key_line = 0
        self._value: Path | None = None  # the key whose value is read; None while a key is read
        self._header = False

    def scan(self) -> None:
        for token in _TOKEN.finditer(self._text):
            word = token[0]
            match token.lastgroup:
                case "newline":
                    self._end_of_line()
                case "mark":
                    self._mark(word, self._line(token.start()))
                case "text" | "bare" if self._value is None:
                    if not self._key:
                        self._key_line = self._line(token.start())
                    self._key.append(_unquoted(word) if token.lastgroup == "text" else word)

    def _line(self, position: int) -> int:
        return bisect_right(self._starts, position) + 1

    def _end_of_line(self) -> None:
        if self._header or not self._inside:
            self._key, self._value, self._header = [], None, False
            self._inside.clear()

    def _mark(self, mark: str, line: int) -> None:
        outside = not self._inside
        if self._header:
            if mark == "]" and self._key:
                self._table = tuple(self._key[:DEEPEST])
                self.found.append((self._table, self._key_line))
                self._key = []
        elif outside and self._value is None and mark == "[":
            self._header, self._key = True, []
        elif mark == "=" and self._value is None:
            base = self._inside[-1][1] if self._inside else self._table
            self._value = (*base, *self._key)[:DEEPEST]
            self.found.append((self._value, self._key_line or line))
            self._key = []
        elif mark in "[{" and self._value is not None:
            self._inside.append((mark, self._value))
            self._value = self._value if mark == "[" else None
        elif mark in "]}" and self._inside:
            self._value, self._key = self._inside.pop()[1], []
        elif mark == "," and self._inside and self._inside[-1][0] == "{":
            self._value, self._key = None, []


def _unquoted(word: str) -> str:
    if word[0] == "'":
        return word.strip("'")
    return _ESCAPED.sub(_character, word.strip('"'))


def _character(escaped: re.Match[str]) -> str:
    if escaped[0][1] not in "uU":
        return {"n": "\n", "t": "\t"}.get(escaped[0][1], escaped[0][1])
    number = int(escaped[0][2:], 16)
    return chr(number) if number <= 0x10FFFF else "?"


def keys_of(text: str) -> list[tuple[Path, int]]:
    """Each key and header of the text, with its line counted from 1."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.found


def lines_of(text: str) -> dict[Path, int]:
    """Each key and table of the text with its first line."""
    lines: dict[Path, int] = {}
    for key, line in keys_of(text):
        for end in range(1, len(key) + 1):
            lines.setdefault(key[:end], line)
    return lines


def nearest(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of a key, else of the innermost table around it that was found."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)


def twice(text: str) -> tuple[Path, int, int] | None:
    """The first key that is set twice and its two lines.

    This includes a table in two notations: ``hosts = {…}`` and ``[profiles.work.hosts]``.
    """
    seen: dict[Path, int] = {}
    for key, line in keys_of(text):
        if key in seen:
            return key, seen[key], line
        seen[key] = line
    for key, line in keys_of(text):
        for end in range(1, len(key)):
            if key[:end] in seen and seen[key[:end]] > line:
                return key[:end], line, seen[key[:end]]
    return None
