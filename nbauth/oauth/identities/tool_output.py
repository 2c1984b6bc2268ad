"""What a command-line tool printed: its error, and the line that it tells the person to run."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field

from nbauth.core.secret import without_tokens
from nbauth.core.text import plain

_LOGIN = re.compile(r"\b(?:az|azd auth) login(?: [\w./:=+\"-]+)*")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Done:
    """How a command ended. ``out`` may contain a token."""

    status: int
    out: str = field(repr=False)
    err: str = field(repr=False)

    @property
    def message(self) -> str:
        """The error that the tool printed, on one line and without tokens.

        azd prints JSON: ``{"error": …}``, before 1.23.7 ``{"data": {"message": …}}``. az prints
        ``ERROR: …``; for an exception, a first such line says only that a traceback follows.
        """
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        told = [text for line in (*self.out.splitlines(), *lines) if (text := _json_error(line))]
        if not told:
            errors = [line for line in lines if line.upper().startswith("ERROR:")]
            told = [line for line in errors if "unexpected error" not in line] or lines[-1:]
        text = re.sub(r"^error:\s*", "", " ".join(told[:1]), flags=re.IGNORECASE)
        return plain(without_tokens(text))

    @property
    def login_line(self) -> str:
        """The line by which the tool says how to sign in, with its arguments; ``""`` if none."""
        found = [match[0] for match in _LOGIN.finditer(self.err) if "--" in match[0]]
        return found[0] if found else ""

    def line_with(self, words: tuple[str, ...]) -> str:
        """The last line with one of the words, ``""`` if there is none."""
        lines = [line for line in self.err.splitlines() if any(word in line for word in words)]
        return plain(without_tokens(lines[-1])) if lines else ""


def text_of(given: bytes) -> str:
    """The text of an output, without colours."""
    return _ESCAPES.sub("", given.decode("utf-8", "replace"))


def _json_error(line: str) -> str:
    if not line.lstrip().startswith("{"):
        return ""
    with contextlib.suppress(ValueError, AttributeError):
        told = json.loads(line)
        text = told.get("error") or (told.get("data") or {}).get("message")
        return text.strip() if isinstance(text, str) else ""
    return ""
