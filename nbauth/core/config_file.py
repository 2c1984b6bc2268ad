"""The contents of a ``config.toml``: profiles, and the mistakes in them.

A mistake in the profile in use, or outside all profiles, is an error. A mistake in another profile
is reported once and is no error (:class:`nbauth.core.settings_reader.SettingsReader`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.text import plain

ABSENT = (errno.ENOENT, errno.ENOTDIR)
"""The ``errno`` values for a path without a file."""
CODE = "bad_config_file"
"""The error code for a ``config.toml`` that contains a mistake."""


@dataclass(frozen=True)
class Mistake:
    """One mistake in a file.

    Attributes:
        what: the mistake, as the end of a sentence that begins with file and line.
        remedy: the correct form, or what to do.
        line: counted from 1; ``None`` if the mistake concerns the whole file.
        profile: the profile that contains it; ``None`` outside all profiles.
    """

    what: str
    remedy: str
    line: int | None = None
    profile: str | None = None


@dataclass(frozen=True)
class ConfigFile:
    """One parsed file.

    Attributes:
        name: its path.
        table: the parsed TOML.
        text: the source text, for line numbers.
        mistakes: the mistakes in its profiles.
        passed_over: a sentence for each folder of higher priority that could not be read.
        found: whether the file exists; if not, ``name`` is a path where it could be.
    """

    name: str = "config.toml"
    table: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    mistakes: tuple[Mistake, ...] = ()
    passed_over: tuple[str, ...] = ()
    found: bool = True

    @property
    def profile(self) -> str:
        """The profile to use if no other is named."""
        return str(self.table.get("profile") or "default").strip()

    @property
    def profiles(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each profile, as written in the file."""
        return self.table.get("profiles") or {}

    def place(self, *path: str) -> str:
        """``line 7 of <file>`` for a key; only the file if the line is unknown."""
        from nbauth.core.toml_lines import lines_of, nearest

        line = nearest(lines_of(self.text), path)
        return self.name if line is None else f"line {line} of {self.name}"

    def refuse(self, profile: str) -> None:
        """Raise ``ConfigurationError`` if this profile has mistakes."""
        refuse(self.name, [each for each in self.mistakes if each.profile == profile])

    def notices(self, used: str) -> list[str]:
        """A line for each warning that does not concern the profile ``used``."""
        theirs: dict[str, list[Mistake]] = {}
        for mistake in self.mistakes:
            if mistake.profile is not None and mistake.profile != used:
                theirs.setdefault(mistake.profile, []).append(mistake)
        return [
            *self.passed_over,
            *(
                f"The profile {plain(profile)!r} cannot be used until this is corrected:"
                f" {said(self.name, mistakes)} {mistakes[0].remedy}"
                for profile, mistakes in theirs.items()
            ),
        ]


def said(name: str, mistakes: list[Mistake]) -> str:
    """The first mistake with file and line, and the lines of the others."""
    first, *others = mistakes
    where = name if first.line is None else f"{name}, line {first.line}"
    lines = list(dict.fromkeys(each.line for each in others if each.line is not None))
    return f"{where}: {first.what}.{_more(lines)}"


def _more(lines: Iterable[int]) -> str:
    numbers = [str(line) for line in lines]
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f" Line {numbers[0]} also has a mistake."
    return f" Lines {', '.join(numbers[:-1])} and {numbers[-1]} also have mistakes."


def refuse(name: str, mistakes: list[Mistake]) -> None:
    """Raise ``ConfigurationError`` if there are any."""
    if mistakes:
        raise ConfigurationError(said(name, mistakes), code=CODE, hint=mistakes[0].remedy)
