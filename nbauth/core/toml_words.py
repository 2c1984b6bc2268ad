"""What is wrong in a text that is not valid TOML, in words.

``tomllib`` names the place of a mistake and rarely the mistake. The words here are for those that
people make: a path with backslashes, a text without quotes, YAML's colon, a key set twice.
No value of the file is repeated in an error, since it may be a secret in the wrong place.
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
    """The mistake for which ``tomllib`` raised this error."""
    if isinstance(error, RecursionError):
        return _mistake("brackets are nested too deep", "Remove them: a profile is flat.", None)
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
    """The line where something begins that is not closed; ``tomllib`` names the end of the file."""
    keys = keys_of(text)
    if "'='" in message or not keys:  # a key without a value is no key
        return max((n for n, line in enumerate(lines, 1) if line.strip()), default=1)
    if 'Expected "\'"' in message:
        return next((n for n, line in enumerate(lines, 1) if _OPEN.search(line)), keys[-1][1])
    return keys[-1][1]


def _mistake(what: str, remedy: str, line: int | None) -> Mistake:
    return Mistake(f"this is not valid TOML: {what}", remedy, line)


def _doubled(text: str, line: int | None) -> Mistake:
    if (found := twice(text)) is None:
        return _mistake("a key is there twice", "Keep one of them.", line)
    path, first, second = found
    return _mistake(
        f"{'.'.join(path)} is there twice, here and on line {first}", "Keep one of them.", second
    )


def _why(message: str, line: str) -> tuple[str, str]:
    """What is wrong with the line that tomllib stopped at, and the right form."""
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
            "a backslash in double quotes begins an escape",
            r"Put a path in single quotes, as in verify = 'C:\certs\ca.pem'.",
        )
    if _CURLY.search(line):
        return "the quotes are curly, as word processors make them", 'Write straight ones: "…".'
    if unseen := _UNSEEN.search(line):
        return (
            f"an invisible character is in the line (U+{ord(unseen[0]):04X})",
            "Type the line anew instead of pasting it.",
        )
    if "\r" in line.removesuffix("\r"):
        return (
            "its lines end in carriage returns alone",
            "Save it with line ends of Unix or Windows.",
        )
    if "Illegal character" in message or "invalid character" in message:
        if r"'\n'" in message or r"'\r'" in message:
            return "a text is not closed on its line", "Put the quote at its end."
        return "a control character is in the line", "Remove it."
    if "Unterminated string" in message or 'Expected "\'"' in message:
        return "a text is not closed", "Put the quote at its end."
    return None


def _of_keys(message: str, line: str, key: str) -> tuple[str, str] | None:
    if "Expected '='" in message:
        if re.match(r"\s*[\w-]+\s*:(?!/)\s", line):
            return "a colon stands after the key", "Write key = value."
        if "=" in line and re.search(r"[.:/]", key):
            return (
                "a host has to be in quotes here",
                'Write "api.contoso.com:8443" = ["scope"], without https:// and path.',
            )
        return "a key stands there without a value", "Write key = value."
    if "table declaration" in message or "array declaration" in message:
        return (
            "the header is not closed, or the name in it needs quotes",
            'Write [profiles.work] or [profiles."my work"].',
        )
    if "key part" in message and "{" in line:
        return (
            "a table in { } has to stand on one line",
            "Write its parts below a header: [profiles.work.hosts].",
        )
    if "Unclosed array" in message:
        return "a list is not closed, or a comma is missing in it", 'Write ["one", "two"].'
    return None


def _of_values(message: str, key: str, value: str) -> tuple[str, str] | None:
    if "Invalid value" not in message and "newline or end of document" not in message:
        return None
    bare = value.partition("#")[0].strip()
    name = key if re.fullmatch(r"[\w.-]{1,40}", key) else "key"
    if not bare:
        return f"{name} has no value", "Give it one, or remove the line."
    if bare.lower() in {"true", "false"}:
        return f"{name} is spelt with a capital", f"Write {name} = {bare.lower()}."
    if bare.lower() in {"none", "null", "nil"}:
        return "TOML has no word for nothing", f"Remove the line: {name} is then not set."
    if bare[0].isalpha() or _GUID.search(f"={bare}"):
        return f"the text of {name} is not in quotes", f'Write {name} = "…".'
    if bare.startswith("["):
        return f"the list of {name} is not closed, or its texts are not in quotes", (
            f'Write {name} = ["one", "two"].'
        )
    if "newline" in message:
        return "two things stand on one line", "Write one key = value a line."
    return f"the value of {name} can't be read", f'Write a text in quotes: {name} = "…".'
