"""JSON bodies of ``%graph`` and ``%%graph``, with values of the notebook.

Outside strings, ``$name`` and ``{expression}`` become JSON values. Inside, they become text. Names
of members stay as they are. A brace before a double quote or a closing brace begins an object.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError

from nbauth.jupyter.expansions import Names, expansion_at
from nbauth.msgraph.magic.values import as_json, odata_name, plain_value

_OBJECT = re.compile(r'\{\s*["}]')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(?=(\s*:)?)', re.DOTALL)


@dataclass(frozen=True)
class Body:
    """The JSON value that is sent."""

    value: Any


def body_of(text: str, names: Names) -> Body:
    """The whole text as a body. Raises ``UsageError``."""
    body, end = read_body(text, 0, names)
    if rest := text[end:].strip():
        raise UsageError(f"The JSON ends before {rest[:20].split()[0]}.")
    return body


def read_body(text: str, start: int, names: Names) -> tuple[Body, int]:
    """The JSON value that begins at the place, and its end. Raises ``UsageError``."""
    reading = _Reading(text, start, names)
    reading.read()
    written = "".join(reading.parts)
    try:
        return Body(json.loads(written, strict=False)), reading.at
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}" if "\n" in written.strip() else f"character {error.pos + 1}"
        raise UsageError(
            f"The JSON is incomplete or invalid: {error.msg} at {where}. For a dict:"
            " $name or {expression}."
        ) from None


class _Reading:
    def __init__(self, text: str, at: int, names: Names) -> None:
        self.text = text
        self.at = at
        self.parts: list[str] = []
        self._names = names
        self._depth = 0

    def read(self) -> None:
        """Read up to the end of one value."""
        while self.at < len(self.text):
            sign = self.text[self.at]
            self._sign(sign)
            if self._depth <= 0 and not sign.isspace():
                return

    def _sign(self, sign: str) -> None:
        if sign == '"':
            self._string()
        elif sign in "${" and not _OBJECT.match(self.text, self.at):
            self._value()
        else:
            self._depth += (sign in "{[") - (sign in "}]")
            self.parts.append(sign)
            self.at += 1

    def _value(self) -> None:
        found = expansion_at(self.text, self.at, self._names, as_json)
        if found is None:
            raise UsageError("The body has a $ that is no variable. JSON has it in strings only.")
        self.parts.append(found.text)
        self.at = found.end

    def _string(self) -> None:
        """A string. The name of a member is copied."""
        text = self.text
        whole = _STRING.match(text, self.at)
        if whole and whole[2]:
            self.parts.append(whole[0])
            self.at = whole.end()
            return
        self.parts.append('"')
        self.at += 1
        while self.at < len(text) and text[self.at] != '"':
            self._in_string()
        self.parts.append('"' if self.at < len(text) else "")
        self.at += 1

    def _in_string(self) -> None:
        text, at = self.text, self.at
        two = text[at : at + 2]
        taken, end = text[at], at + 1
        if taken == "\\":
            taken, end = two, at + 2
        elif two in {"$$", "{{", "}}"}:
            end = at + 2
        elif taken in "${" and not odata_name(text, at):
            found = expansion_at(text, at, self._names, _inside)
            if found is not None:
                taken, end = found.text, found.end
        self.parts.append(taken)
        self.at = end


def _inside(value: Any, typed: str) -> str:
    """A value as the inner part of a JSON string."""
    value = plain_value(value)
    written = as_json(value, typed)
    if isinstance(json.loads(written), dict | list | None):
        raise UsageError(f"{typed} is a {type(value).__name__}. Write it without quotes.")
    return written[1:-1] if written[:1] == '"' else json.dumps(written)[1:-1]
