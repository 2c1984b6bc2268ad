"""Splits the line of ``%graph`` into words. Other magics: :mod:`nbauth.jupyter.magic_line`.

A path with a query goes on over blanks up to the next option; so do the values of ``--filter``,
``--orderby``, ``--search``, ``--expand``, ``--select`` and ``--header``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from IPython.core.error import UsageError

from nbauth.jupyter.expansions import Names
from nbauth.jupyter.magic_line import Word, words_of
from nbauth.msgraph.magic.body import read_body
from nbauth.msgraph.magic.phrase import END, OPTION, Phrase

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
PHRASES = ("--filter", "--orderby", "--search", "--expand", "--select", "--header")
"""Options whose values may have blanks without quotation marks."""
_METHOD = re.compile(r"[A-Za-z]+(?=\s|;|\Z)")
_LIKE_A_METHOD = re.compile(r"[A-Z]{3,}(?=[ \t]+[\w/{$\"'])")
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\{[^{}]*\}|[^\s"'{;]|;(?!\s*\Z))+|\S+""")


def graph_words(line: str, names: Names, takes_value: Mapping[str, bool]) -> list[Word]:
    """The words of a line: method, path and body, then the options. Raises ``UsageError``.

    ``takes_value``: whether an option has a value.
    """
    return _Line(line, names, takes_value).words()


def _refuse_unknown_method(line: str, at: int) -> None:
    """A word in capitals before another word is meant as a method. No path of Graph is one."""
    if found := _LIKE_A_METHOD.match(line, at):
        raise UsageError(
            f"{found[0]} is not a method that %graph sends. These are {', '.join(METHODS)}."
        )


class _Line:
    def __init__(self, line: str, names: Names, takes_value: Mapping[str, bool]) -> None:
        self._line = line
        self._names = names
        self._takes_value = takes_value
        self._at = 0
        self._request: list[Word] = []
        self._options: list[Word] = []

    def words(self) -> list[Word]:
        while self._more():
            option = OPTION.match(self._line, self._at)
            if option:
                self._option(option)
            else:
                self._positional()
        if self._request and len(self._request) == 1:
            raise UsageError(f"{self._request[0].typed} needs a path, such as me/messages.")
        return [*self._request, *self._options]

    def _more(self) -> bool:
        while self._line[self._at : self._at + 1].isspace():
            self._at += 1
        return not END.match(self._line, self._at)

    def _option(self, found: re.Match[str]) -> None:
        self._at = found.end()
        name, joined = found[1], bool(found[2])
        self._options.append(Word(name, found[0], joined=joined))
        full = [one for one in self._takes_value if one == name]
        full = full or [one for one in self._takes_value if len(name) > 3 and one.startswith(name)]
        if not joined and (len(full) != 1 or not self._takes_value[full[0]]):
            return
        if not self._more() or (not joined and OPTION.match(self._line, self._at)):
            return
        if full and full[0] in PHRASES:
            self._options.append(self._phrase(full[0][2:]))
        else:
            self._options += self._plain_word()

    def _plain_word(self) -> list[Word]:
        begin = self._at
        found = _WORD.match(self._line, begin)
        assert found is not None
        self._at = found.end()
        return words_of(found[0], self._names)

    def _positional(self) -> None:
        method = _METHOD.match(self._line, self._at)
        if not self._request:
            if method and method[0].upper() in METHODS:
                self._at = method.end()
                self._request.append(Word(method[0].upper(), method[0]))
                return
            _refuse_unknown_method(self._line, self._at)
            self._request.append(Word("", ""))
        if len(self._request) == 1:
            self._request.append(self._phrase("path"))
        elif len(self._request) == 2 and self._line[self._at] in '{["$':
            begin = self._at
            body, self._at = read_body(self._line, begin, self._names)
            typed = self._line[begin : self._at]
            self._request.append(Word(typed, typed, value=body))
        else:
            self._request += self._plain_word()
            if len(self._request) > 3:
                typed = self._request[-1].typed
                raise UsageError(f"{typed} is too much: %graph [METHOD] PATH [JSON].")

    def _phrase(self, what: str) -> Word:
        reads = self._request[0].text in ("", "GET") if self._request else True
        phrase = Phrase(self._line, self._at, self._names, what, reads)
        word = phrase.read()
        self._at = phrase.at
        return word
