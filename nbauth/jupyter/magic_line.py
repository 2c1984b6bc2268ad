"""Splits a magic's line into words, as a shell does.

- Blanks separate words. Single and double quotes group characters into one word and are removed.
- A single quote between two letters is an apostrophe: ``o'brien@contoso.com`` is one word.
- A backslash escapes the next character. Before a letter or digit, and in single quotes, it is a
  plain backslash, as in ``CONTOSO\\ada``.
- ``$name``, ``$name.attribute``, ``${expression}`` and ``{expression}`` are replaced by values of
  the notebook, also in quotes, because IPython's own magics do that. ``$$``, ``{{`` and ``}}`` are
  the characters themselves. A value is not parsed again: its blanks, quotes and dollar signs stay.
- A JSON object stays as it is written, with or without quotes around it.
- ``#`` at the beginning of a word begins a comment; a ``;`` at the end of the line is dropped.

A message shows the typed text, never the value of a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from IPython.core.error import UsageError

from nbauth.jupyter.expansions import Names, expansion_at, json_object

_JOINERS = "\u200c\u200d"
"""Invisible characters that names may contain: in Persian, in Indian scripts, between emoji."""
_LONG_DASHES = "‐‑‒–—―−"
_TYPOGRAPHIC = "“”„«»‘‚"
_LIKE_AN_OPTION = re.compile(r"--.|-[^\W\d]")
_OPTION = re.compile(r"--[A-Za-z][\w-]*")
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")
_SHELL = {
    "|": "pipe", "||": "command list", "&&": "command list", ";": "command list",
    ">": "redirection", ">>": "redirection", "<": "redirection",
}  # fmt: skip
_NOT_FOR_A_SHELL = re.compile(r"""\\.|"[^"]*"|'[^']*'|\{.*\}""")
_PLACEHOLDER = re.compile(r"<[^<>]+>")
_JOINED_TO_A_WORD = {
    re.compile(r"[^<>]*[<>].*"): "redirection",
    re.compile(r".+[^;];"): "command list",
    re.compile(r".*(?:\|\||&&)"): "command list",
    re.compile(r".*\|"): "pipe",
    re.compile(r"`.*|\$\(.*"): "command substitution",
}


@dataclass(frozen=True)
class Word:
    """One word.

    Attributes:
        text: its text, without quotes and with values in place of expansions.
        typed: its text in the line, for messages.
        bare: whether its first character is not quoted, escaped or from an expansion. Otherwise the
            word is no option.
        joined: whether it is an option whose value follows after ``=``.
        value: the value of the expansion, if the word consists of one expansion.
        after: the option without a value directly before it; ``""`` if there is none.
    """

    text: str
    typed: str
    bare: bool = True
    joined: bool = False
    value: object = None
    after: str = ""

    @property
    def is_option(self) -> bool:
        """Whether it has the form of an option, known or unknown."""
        return self.bare and _LIKE_AN_OPTION.match(self.text) is not None


@dataclass
class _Open:
    """A word whose end has not been read yet."""

    start: int
    parts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)
    bare: bool = True

    def closed(self, line: str, end: int, joined: bool = False) -> Word:
        typed = line[self.start : end]
        refuse_hidden(typed)
        whole = [value for value in self.values if isinstance(value, (Mapping, list, tuple, set))]
        if whole and len(self.parts) > 1:
            raise UsageError(
                f"{typed}: a {type(whole[0]).__name__} cannot be part of a string. Write one of its"
                " values, such as {name['key']}."
            )
        value = self.values[0] if len(self.values) == len(self.parts) == 1 else None
        return Word("".join(self.parts), typed, self.bare, joined, value)


def words_of(line: str, names: Names) -> list[Word]:
    """The words of a line. Raises ``UsageError`` for a line with a mistake."""
    words = _Reader(line, names).words()
    for word in words:
        check(word)
    return words


class _Reader:
    def __init__(self, line: str, names: Names) -> None:
        self._line = line
        self._names = names
        self._at = 0
        self._words: list[Word] = []

    def words(self) -> list[Word]:
        while self._skip_blanks():
            self._word()
        return self._words

    def _skip_blanks(self) -> bool:
        """Skip blanks. Returns whether another word follows."""
        line = self._line
        while self._here.isspace():
            self._at += 1
        return self._at < len(line) and self._here != "#" and not self._is_last_semicolon()

    @property
    def _here(self) -> str:
        return self._line[self._at : self._at + 1]

    def _is_last_semicolon(self) -> bool:
        return self._here == ";" and re.match(r"\s*(#|$)", self._line[self._at + 1 :]) is not None

    def _word(self) -> None:
        word = _Open(self._at)
        while (sign := self._here) and not sign.isspace() and not self._is_last_semicolon():
            if sign == '"' or (sign == "'" and not self._is_apostrophe()):
                word.bare = word.bare and self._at > word.start
                self._quoted(word, sign)
            elif sign == "=" and word.bare and _OPTION.fullmatch("".join(word.parts)):
                self._words.append(word.closed(self._line, self._at, joined=True))
                self._at += 1
                word = _Open(self._at, bare=False)
            else:
                word.bare = word.bare and (self._at > word.start or sign not in "${\\")
                self._sign(word, escapes=None)
        self._words.append(word.closed(self._line, self._at))

    def _is_apostrophe(self) -> bool:
        before, after = self._line[: self._at][-1:], self._line[self._at + 1 :][:1]
        return before.isalnum() and after.isalnum()

    def _quoted(self, word: _Open, quote: str) -> None:
        self._at += 1
        if self._here == quote:
            word.parts.append("")
        while self._here and (self._here != quote or (quote == "'" and self._is_apostrophe())):
            if quote == '"' and self._here == "{" and self._escaped_json(word):
                continue
            self._sign(word, escapes="" if quote == "'" else '"\\$`{}')
        if not self._here:
            raise UsageError(f"A quotation mark {quote} is not closed.")
        self._at += 1

    def _escaped_json(self, word: _Open) -> bool:
        """Read JSON whose quotes are written ``\\"``, up to the end of the double quotes."""
        rest = re.match(r'(?:[^"\\]|\\.)*(?=")', self._line[self._at :], re.DOTALL)
        plain = re.sub(r"\\(.)", r"\1", rest[0]) if rest else ""
        if rest is None or json_object(plain.strip(), 0) != len(plain.strip()):
            return False
        word.parts.append(plain)
        self._at += len(rest[0])
        return True

    def _sign(self, word: _Open, escapes: str | None) -> None:
        """Read one character, or the escape sequence, JSON object or expansion that it begins.

        ``escapes``: the characters that a backslash escapes; ``None`` for all except letters and
        digits.
        """
        line, sign, after = self._line, self._here, self._line[self._at + 1 :][:1]
        taken, self._at = sign, self._at + 1
        if sign == "\\" and after and _may_escape(after, escapes):
            taken = after
            self._at += 1
        elif (sign + after) in {"$$", "{{", "}}"}:
            self._at += 1
        elif sign == "{" and (end := json_object(line, self._at - 1)):
            taken, self._at = line[self._at - 1 : end], end
        elif sign in "${" and (found := expansion_at(line, self._at - 1, self._names)):
            taken, self._at = found.text, found.end
            word.values.append(found.value)
        word.parts.append(taken)


def _may_escape(sign: str, escapes: str | None) -> bool:
    return not sign.isalnum() if escapes is None else sign in escapes


def refuse_hidden(typed: str) -> None:
    """Refuse invisible characters, before a message shows the word."""
    hidden = [
        sign for sign in typed if not (sign.isprintable() or sign.isspace() or sign in _JOINERS)
    ]
    if hidden:
        raise UsageError(
            f"The line contains an invisible character, U+{ord(hidden[0]):04X}. Retype that word."
        )


def check(word: Word) -> None:
    """Refuse tokens, placeholders, shell syntax, and typographic quotes and dashes."""
    if _TOKEN.search(word.text):
        raise UsageError("A word of this line looks like a token. No magic accepts a token.")
    if word.typed.startswith(("$(", "`")) or (word.bare and word.typed):
        _check_bare(word)


def _check_bare(word: Word) -> None:
    """Refuse an unquoted word that looks like a mistake or like shell syntax."""
    if word.typed[0] in _LONG_DASHES:
        raise UsageError(f"Options begin with two hyphens: --{word.typed.lstrip(_LONG_DASHES)}.")
    if word.typed[0] in _TYPOGRAPHIC:
        raise UsageError("The line has typographic quotation marks. Write \" or '.")
    if _PLACEHOLDER.fullmatch(word.typed):
        raise UsageError(f"Write your own value in place of {word.typed}.")
    if meant := _meant_for_a_shell(word.typed):
        raise UsageError(
            f"A magic does not support a {meant}. If {word.typed} is meant as text,"
            " write it in quotes."
        )
    if word.typed == "&":
        raise UsageError(
            "A magic does not support &. To continue while the sign-in waits: %login --background."
        )


def _meant_for_a_shell(typed: str) -> str:
    """The shell syntax in a word; ``""`` if there is none."""
    typed = _NOT_FOR_A_SHELL.sub("x", typed)
    found = (what for form, what in _JOINED_TO_A_WORD.items() if form.fullmatch(typed))
    return _SHELL.get(typed) or next(found, "")
