"""Describes the mistake in a text that is not valid TOML.

``tomllib`` reports where a mistake is, but rarely what it is. This module describes the common
mistakes: a path with backslashes, a string without quotes, YAML's colon, a key set twice. An error
never repeats a value of the file, since it may be a secret.
"""

from __future__ import annotations

import re

from nbauth.core.config_file import Mistake
from nbauth.core.toml_lines import keys_of, twice

_PLACE = re.compile(r" ?\(at (?:line (\d+), column \d+|end of document)\)")
_GUID = re.compile(r"=\s*[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-")
_UNSEEN = re.compile("[\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]")
_OPEN = re.compile(r"^[^'#\"]*'[^']*$")
_CURLY = re.compile("[\u2018-\u201f]")


def in_words(text: str, error: Exception) -> Mistake:
    """The mistake that made ``tomllib`` raise this error."""
    if isinstance(error, RecursionError):
        return _mistake("brackets are nested too deeply", "Remove the inner brackets.", None)
    message = str(error)
    place = _PLACE.search(message)
    line = int(place[1]) if place and place[1] else None
    message = _PLACE.sub("", message)
    if "overwrite" in message or "twice" in message or "Duplicate" in message:
        return _doubled(text, line)
    lines = text.split("\n")
    if line is None:
        line = _begun(text, lines, message)
    written = lines[line - 1] if line <= len(lines) else ""
    return _mistake(*_why(message, written), line)


def _begun(text: str, lines: list[str], message: str) -> int:
    """The line where an unclosed value begins; ``tomllib`` reports the end of the file."""
    keys = keys_of(text)
    if "'='" in message or not keys:  # keys_of omits a key without a value
        return max((n for n, line in enumerate(lines, 1) if line.strip()), default=1)
    if 'Expected "\'"' in message:
        return next((n for n, line in enumerate(lines, 1) if _OPEN.search(line)), keys[-1][1])
    return keys[-1][1]


def _mistake(what: str, remedy: str, line: int | None) -> Mistake:
    return Mistake(f"this is not valid TOML: {what}", remedy, line)


def _doubled(text: str, line: int | None) -> Mistake:
    if (found := twice(text)) is None:
        return _mistake("a key is set twice", "Keep one of them.", line)
    path, first, second = found
    return _mistake(
        f"{'.'.join(path)} is set twice, here and on line {first}", "Keep one of them.", second
    )


def _why(message: str, line: str) -> tuple[str, str]:
    """The mistake in the line at which tomllib stopped, and the correct form."""
    key, _, value = (part.strip() for part in line.partition("="))
    for wrong in (
        _of_letters(message, line),
        _of_keys(message, line, key),
        _of_values(message, key, value),
    ):
        if wrong:
            return wrong
    return message[:1].lower() + message[1:], "Correct the line; toml.io describes the format."


def _of_letters(message: str, line: str) -> tuple[str, str] | None:
    if "\\" in line and ("Unescaped" in message or "hex value" in message or "scalar" in message):
        return (
            "a backslash in double quotes starts an escape",
            r"Put a path in single quotes, as in verify = 'C:\certs\ca.pem'.",
        )
    if _CURLY.search(line):
        return "the quotes are curly (typographic)", 'Use straight quotes: "…".'
    if unseen := _UNSEEN.search(line):
        return (
            f"the line contains an invisible character (U+{ord(unseen[0]):04X})",
            "Type the line again instead of pasting it.",
        )
    if "\r" in line.removesuffix("\r"):
        return (
            "its lines end with a carriage return only",
            "Save it with Unix or Windows line endings.",
        )
    if "Illegal character" in message or "invalid character" in message:
        if r"'\n'" in message or r"'\r'" in message:
            return "a string is not closed on its line", "Add the closing quote."
        return "the line contains a control character", "Remove it."
    if "Unterminated string" in message or 'Expected "\'"' in message:
        return "a string is not closed", "Add the closing quote."
    return None


def _of_keys(message: str, line: str, key: str) -> tuple[str, str] | None:
    if "Expected '='" in message:
        if re.match(r"\s*[\w-]+\s*:(?!/)\s", line):
            return "the key is followed by a colon", "Write key = value."
        if "=" in line and re.search(r"[.:/]", key):
            return (
                "a host must be in quotes",
                'Write "api.contoso.com:8443" = ["scope"], without https:// and path.',
            )
        return "the line has a key without a value", "Write key = value."
    if "table declaration" in message or "array declaration" in message:
        return (
            "the header is not closed, or its name needs quotes",
            'Write [profiles.work] or [profiles."my work"].',
        )
    if "key part" in message and "{" in line:
        return (
            "an inline table { } must be on one line",
            "Write its keys below a header: [profiles.work.hosts].",
        )
    if "Unclosed array" in message:
        return "a list is not closed, or a comma is missing", 'Write ["one", "two"].'
    return None


def _of_values(message: str, key: str, value: str) -> tuple[str, str] | None:
    if "Invalid value" not in message and "newline or end of document" not in message:
        return None
    bare = value.partition("#")[0].strip()
    name = key if re.fullmatch(r"[\w.-]{1,40}", key) else "key"
    if not bare:
        return f"{name} has no value", "Add a value, or remove the line."
    if bare.lower() in {"true", "false"}:
        return f"the value of {name} has a capital letter", f"Write {name} = {bare.lower()}."
    if bare.lower() in {"none", "null", "nil"}:
        return "TOML has no null value", f"Remove the line: {name} is then not set."
    if bare[0].isalpha() or _GUID.search(f"={bare}"):
        return f"the value of {name} is not in quotes", f'Write {name} = "…".'
    if bare.startswith("["):
        return f"the list of {name} is not closed, or its strings are not in quotes", (
            f'Write {name} = ["one", "two"].'
        )
    if "newline" in message:
        return "the line has more than one key or value", "Write one key = value per line."
    return f"the value of {name} is not valid", f'Write a string in quotes: {name} = "…".'
