"""A value as one word of a magic's line, for advice that can be typed as it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[\w@.+:/,%~](?:[\w@.+:/,=%~-]|(?<=\w)'(?=\w))*")
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in '\\"${}'})
_DOUBLED = str.maketrans({sign: sign * 2 for sign in "${}"})


def as_word(text: str) -> str:
    """The text as ``jupyter.magic_line`` reads it back: as it is, or in double quotes."""
    return text if _PLAIN.fullmatch(text) else f'"{text.translate(_ESCAPED)}"'


def within(quote: str, text: str) -> str | None:
    """The text as it is written between two of these quotation marks; ``None`` if that fails."""
    if quote == '"':
        return text.translate(_ESCAPED)
    if re.search(r"(?<!\w)'|'(?!\w)", text):
        return None
    return text.translate(_DOUBLED)


def login_line(profile: str = "", account: str = "", scopes: Iterable[str] = ()) -> str:
    """The ``%login`` that signs in an account, with a profile if it is not the default one."""
    words = ["%login"]
    words += ["--profile", as_word(profile)] if profile not in {"", "default"} else []
    words += ["--account", as_word(account)] if account else []
    return " ".join([*words, *map(as_word, scopes)])
