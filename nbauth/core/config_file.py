"""What a ``config.toml`` says: profiles, and what is wrong with them.

A mistake in the profile that is used, or outside all profiles, is an error. One in another profile
is told once and stops nobody (:class:`nbauth.core.settings_reader.SettingsReader`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.text import plain

ABSENT = (errno.ENOENT, errno.ENOTDIR)
"""The system's errors for a path where there is no file."""
CODE = "bad_config_file"
"""The code of the error for a ``config.toml`` with a mistake in it."""


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        what: what it is, as the end of a sentence that begins with file and line.
        remedy: the right form, or what to do.
        line: counted from 1; ``None`` where it is the whole file.
        profile: the profile that it is in; ``None`` for one outside all profiles.
    """

    what: str
    remedy: str
    line: int | None = None
    profile: str | None = None


@dataclass(frozen=True)
class ConfigFile:
    """One file, read.

    Attributes:
        name: its path.
        table: what it holds, as TOML reads it.
        text: what it was read from, for line numbers.
        mistakes: those in its profiles.
        passed_over: a sentence for each nearer place that could not be looked into.
        found: whether there is such a file; without one, ``name`` is where it could be.
    """

    name: str = "config.toml"
    table: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    mistakes: tuple[Mistake, ...] = ()
    passed_over: tuple[str, ...] = ()
    found: bool = True

    @property
    def profile(self) -> str:
        """The profile that is used where nobody names one."""
        return str(self.table.get("profile") or "default").strip()

    @property
    def profiles(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each profile, as they are written."""
        return self.table.get("profiles") or {}

    def place(self, *path: str) -> str:
        """``line 7 of <file>`` for a key; the file alone where the line isn't known."""
        from nbauth.core.toml_lines import lines_of, nearest

        line = nearest(lines_of(self.text), path)
        return self.name if line is None else f"line {line} of {self.name}"

    def refuse(self, profile: str) -> None:
        """Raise ``ConfigurationError`` if this profile has mistakes."""
        refuse(self.name, [each for each in self.mistakes if each.profile == profile])

    def notices(self, used: str) -> list[str]:
        """A line for each thing that does not stop the profile that is used, but has to be told."""
        theirs: dict[str, list[Mistake]] = {}
        for mistake in self.mistakes:
            if mistake.profile is not None and mistake.profile != used:
                theirs.setdefault(mistake.profile, []).append(mistake)
        return [
            *self.passed_over,
            *(
                f"The profile {plain(profile)!r} can't be used before this is corrected:"
                f" {said(self.name, mistakes)} {mistakes[0].remedy}"
                for profile, mistakes in theirs.items()
            ),
        ]


def said(name: str, mistakes: list[Mistake]) -> str:
    """The first mistake with file and line, and on which lines there are more."""
    first, *others = mistakes
    where = name if first.line is None else f"{name}, line {first.line}"
    lines = list(dict.fromkeys(each.line for each in others if each.line is not None))
    return f"{where}: {first.what}.{_more(lines)}"


def _more(lines: Iterable[int]) -> str:
    numbers = [str(line) for line in lines]
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f" Line {numbers[0]} has a mistake too."
    return f" Lines {', '.join(numbers[:-1])} and {numbers[-1]} have mistakes too."


def refuse(name: str, mistakes: list[Mistake]) -> None:
    """Raise ``ConfigurationError`` if there are any."""
    if mistakes:
        raise ConfigurationError(said(name, mistakes), code=CODE, hint=mistakes[0].remedy)
