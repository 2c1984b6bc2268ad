"""A value as one word of a magic's line, for advice that can be typed as it is shown."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[\w@.+:/,%~](?:[\w@.+:/,=%~-]|(?<=\w)'(?=\w))*")
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in '\\"${}'})


def as_word(text: str) -> str:
    """The text as ``jupyter.magic_line`` reads it back: as it is, or in double quotes."""
    return text if _PLAIN.fullmatch(text) else f'"{text.translate(_ESCAPED)}"'
