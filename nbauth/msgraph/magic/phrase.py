"""Reads a path, or the value of an option such as ``--filter``, in the line of ``%graph``.

- Names of OData, such as ``$select``, are no variables. All other ``$name`` are.
- Quotation marks around the whole are removed; those within are OData's.
- ``'O'Brien'`` is sent as ``'O''Brien'``.
- At the beginning of a path, a value is a path or a URL itself. Later, it is one segment or one
  value of the query, and is percent-encoded. Between single quotes, its single quotes are doubled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from IPython.core.error import UsageError

from nbauth.jupyter.expansions import Names, as_text, expansion_at, refuse_secret_in
from nbauth.jupyter.magic_line import Word, check, refuse_hidden
from nbauth.msgraph.magic.values import odata_name, plain_value, query_text, quoted_text

OPTION = re.compile(r"(--[A-Za-z][\w-]*|-[A-Za-z])(=|(?=\s|;|\Z))")
END = re.compile(r"\s*(?:;\s*)?(?:#|\Z)")
_AFTER_QUOTES = re.compile(r"(?=\s*(?:;\s*)?(?:\Z|\s#|\s--?[A-Za-z]))")
_OPTION_OF_QUERY = re.compile(r"[?&;(]\s*\$?(\w+)=[^&]*\Z")
_OF_DOCUMENTS = re.compile(r"\{(?:id|[A-Za-z]+(?:(?:-| *\| *)[A-Za-z]+)+)\}")
"""A placeholder of Microsoft's documents, such as ``{user-id}``."""
_PLACEHOLDER = re.compile(r"<[\w @.-]+>")


class Phrase:
    """A path, or the value of an option."""

    def __init__(self, line: str, at: int, names: Names, what: str, reads: bool) -> None:
        self.at = at
        self._line = line
        self._begin = at
        self._names = names
        self._is_path = what == "path"
        self._option = "" if self._is_path else what
        self._reads = reads
        self._in_query = not self._is_path
        self._stop = len(line)
        self._mark = ""
        self._parts: list[str] = []
        self._bare: list[str] = []  # what is typed outside quotation marks of OData

    def read(self) -> Word:
        line = self._line
        outer, last = self._outer()
        self.at += len(outer)
        self._stop = last if outer else len(line)
        while self.at < self._stop:
            if not outer and not self._mark and self._ends():
                break
            self._sign()
        if self._mark:
            raise UsageError(f"A quotation mark {self._mark} is not closed.")
        self.at += len(outer)
        typed = line[self._begin : self.at]
        refuse_hidden(typed)
        text = "".join(self._parts).strip()
        if self._is_path:
            text = text.removesuffix("?") if text.count("?") == 1 else text
            text = text.replace(" ", "%20") if "://" in text.partition("?")[0] else text
        check(Word(text, typed, bare=False))
        if not outer:
            self._check_bare(typed)
        return Word(text, typed, bare=not outer and self._is_path)

    def _outer(self) -> tuple[str, int]:
        """The quotation mark around the whole, and where it closes."""
        mark = self._line[self.at]
        if mark not in "\"'":
            return "", 0
        inner = self._line[self.at + 1 :]
        closing = [found.start() for found in re.finditer(re.escape(mark), inner)]
        fitting = [one for one in closing if _AFTER_QUOTES.match(inner, one + 1)]
        if not fitting and ((self._is_path and not self._reads) or self._option):
            fitting = [one for one in closing if inner[one + 1 : one + 2] in ("", " ", "\t")]
            fitting = fitting if mark == '"' or self._is_path else []
        return (mark, self.at + 1 + fitting[0]) if fitting else ("", 0)

    def _ends(self) -> bool:
        """Whether the phrase ends here, at a blank or at the last semicolon."""
        line = self._line
        if line[self.at] == ";":
            return bool(END.match(line, self.at))
        if not line[self.at].isspace():
            return False
        rest = line[self.at :].lstrip()
        if END.match(rest) or OPTION.match(rest):
            return True
        text = "".join(self._parts)
        goes_on = bool(self._option) or (self._reads and ("?" in text or ":/" in text))
        if not goes_on:
            return True
        self.at = len(line) - len(rest)
        if text[-1:] not in ("?", "&") and rest[0] != "&":
            self._parts.append(" ")
        self._bare.append(" ")
        return False

    def _sign(self) -> None:
        line, at = self._line, self.at
        sign, two = line[at], line[at : min(at + 2, self._stop)]
        taken, self.at = sign, at + 1
        was_bare = not self._mark
        if sign == self._mark == "'" and two == "''":
            taken, self.at = two, at + 2
        elif sign == self._mark == "'" and self._is_apostrophe():
            taken = "''"
        elif sign == "'" or (sign == '"' and self._in_query):
            self._toggle(sign)
        elif sign == "\\" and two[1:] and not two[1:].isalnum() and self._mark != '"':
            taken, self.at = two[1:], at + 2
        elif two in {"$$", "{{", "}}"}:
            self.at += 1
        elif sign in "${" and not odata_name(line, at):
            self._expansion()
            return
        elif sign == "?" and not self._mark:
            self._in_query = True
        elif sign == "&" and self._mark and self._is_path:
            taken = "%26"
        self._parts.append(taken)
        if was_bare and not self._mark:
            self._bare.append(sign)
        elif was_bare:
            self._bare.append("x")

    def _is_apostrophe(self) -> bool:
        before, after = self._line[self.at - 2 : self.at - 1], self._line[self.at : self.at + 1]
        return before.isalnum() and after.isalnum()

    def _toggle(self, sign: str) -> None:
        if self._mark == sign:
            self._mark = ""
        elif not self._mark and not (sign == "'" and self._is_apostrophe()):
            self._mark = sign

    def _expansion(self) -> None:
        begin = self.at - 1
        try:
            found = expansion_at(self._line, begin, self._names, self._text_of)
        except UsageError:
            if name := _OF_DOCUMENTS.match(self._line, begin):
                raise UsageError(f"Write your own value in place of {name[0]}.") from None
            raise
        if found is None:
            self._parts.append("$")
            return
        self._parts.append(found.text)
        self._bare.append("x")
        self.at = found.end

    def _text_of(self, value: object, typed: str) -> str:
        before = "".join(self._parts)
        if self._is_path and not self._in_query and isinstance(value, Mapping):
            refuse_secret_in(value, typed)
            name = typed.strip("${}")
            raise UsageError(f"{typed} is a dict. A path needs a text, such as {{{name}['id']}}.")
        if self._is_path and not before:
            text = as_text(plain_value(value), typed)
            self._in_query = "?" in text
            return text
        if self._mark:
            text = quoted_text(value, typed, self._mark)
        else:
            named = _OPTION_OF_QUERY.search(before)
            text = query_text(value, typed, self._option or (named[1].lower() if named else ""))
        if self._is_path and not self._in_query and text.strip() in ("", ".", ".."):
            raise UsageError(f"{typed} is empty or dots, which cannot be a segment of a path.")
        return quote(text, safe="") if self._is_path else text

    def _check_bare(self, typed: str) -> None:
        bare = "".join(self._bare)
        if found := _PLACEHOLDER.search(bare):
            raise UsageError(f"Write your own value in place of {found[0]}.")
        for piece in bare.split():
            check(Word(piece, piece))
