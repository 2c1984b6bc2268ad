"""Finds mistakes in a ``config.toml`` that is valid TOML: wrong keys, tables and types.

Valid TOML may differ from what its author meant: ``api.contoso.com = [...]`` makes three nested
tables, and a key above the first header belongs to no profile.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from nbauth.core.config_file import Mistake
from nbauth.core.settings_values import SETTINGS, check_form, form_of, is_table, meant
from nbauth.core.text import plain
from nbauth.core.toml_lines import lines_of, nearest

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SECRET = re.compile(
    r"(secret|passw(or)?d|pwd|passphrase|token|apikey|privatekey|assertion|credential)s?"
)
_DATES = (datetime.date, datetime.time)  # a datetime is a date


def find(table: Mapping[str, Any], text: str) -> list[Mistake]:
    """All mistakes, sorted by line."""
    mistakes = [*_Finder(table, text).mistakes()]
    return sorted(mistakes, key=lambda mistake: mistake.line or 0)


def is_secret(name: str) -> bool:
    """Whether a key's name looks like the name of a secret."""
    words = re.sub(r"[^a-z]", "", name.lower())
    return any(match.end() == len(words) for match in _SECRET.finditer(words))


def quoted(name: str) -> str:
    """A key in TOML's notation."""
    shown = plain(name)
    if _BARE.fullmatch(name):
        return shown
    return f"'{shown}'" if '"' in shown or "\\" in shown else f'"{shown}"'


def header(*path: str) -> str:
    """``[profiles.work]``."""
    return f"[{'.'.join(map(quoted, path))}]"


class _Finder:
    def __init__(self, table: Mapping[str, Any], text: str) -> None:
        self._table = table
        self._text = text
        profiles = table.get("profiles")
        named = [name for name, own in profiles.items() if isinstance(own, Mapping)] if (
            isinstance(profiles, Mapping)
        ) else []  # fmt: skip
        default = table.get("profile")
        self._example = default if isinstance(default, str) and default else [*named, "work"][0]

    def mistakes(self) -> Iterator[Mistake]:
        for name, value in self._table.items():
            yield from self._top(name, value)
        profiles = self._table.get("profiles")
        for name, own in profiles.items() if isinstance(profiles, Mapping) else ():
            yield from self._profile(name, own)

    def _mistake(
        self, path: tuple[str, ...], what: str, remedy: str, profile: str | None = None
    ) -> Mistake:
        return Mistake(what, remedy, nearest(self._lines, path), profile)

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], int]:
        return lines_of(self._text)

    # ── outside the profiles ────────────────────────────────────────────────────────────────

    def _top(self, name: str, value: Any) -> Iterator[Mistake]:
        here = header("profiles", self._example)
        if name == "profiles":
            if not isinstance(value, Mapping):
                yield self._mistake(
                    (name,),
                    "profiles is not a table",
                    f"Write {here} and its settings below.",
                )
        elif name == "profile" and isinstance(value, str):
            if not value.strip():
                yield self._mistake((name,), "profile is empty", 'Write profile = "work".')
        elif isinstance(value, Mapping | list) and (wrong := self._top_table(name, value)):
            yield self._mistake((name,), *wrong)
        elif name == "profile":
            yield self._mistake((name,), "profile must be a string", 'Write profile = "work".')
        elif is_secret(name) and name not in SETTINGS:
            yield self._secret((name,))
        else:
            setting = name if name in SETTINGS else meant(name, SETTINGS)
            if setting:
                yield self._mistake(
                    (name,),
                    f"{quoted(name)} is above the first profile, so it belongs to no profile",
                    f"Move it below {here}: {form_of(setting)}",
                )
            else:
                yield self._mistake(
                    (name,),
                    f"there is no key {quoted(name)}",
                    f"Put settings below {here}; only the key profile goes above it.",
                )

    def _top_table(self, name: str, value: Any) -> tuple[str, str] | None:
        """The mistake in a table beside ``profiles``, and the correct form."""
        if isinstance(value, list):
            if not value or not all(isinstance(each, Mapping) for each in value):
                return None
            value = value[0]
        right = header("profiles", self._example)
        written = header(name)
        if meant(name, ("profiles",)):
            inner = next((key for key, own in value.items() if isinstance(own, Mapping)), None)
            if inner is not None:
                written, right = header(name, inner), header("profiles", inner)
        elif name in SETTINGS and is_table(name):
            right = header("profiles", self._example, name)
        elif any(key in SETTINGS or meant(key, SETTINGS) for key in value):
            right = header("profiles", name)
        else:
            return f"there is no table {written}", f"Profiles are written {right}."
        return f"{written} is not the table of a profile", f"Write {right}."

    # ── in a profile ────────────────────────────────────────────────────────────────────────

    def _profile(self, profile: str, own: Any) -> Iterator[Mistake]:
        path = ("profiles", profile)
        if isinstance(own, list) and own and all(isinstance(each, Mapping) for each in own):
            yield self._mistake(
                path,
                f"[{header(*path)}] defines a list of tables",
                f"Write {header(*path)}.",
                profile,
            )
        elif not isinstance(own, Mapping):
            shown = self._example if self._example != profile else "work"
            yield self._mistake(
                path,
                f"{quoted(profile)} is directly below [profiles], where only profiles are allowed",
                f"Move settings below {header('profiles', shown)}.",
            )
        elif not profile.strip() or profile != profile.strip() or not profile.isprintable():
            yield self._mistake(
                path,
                f"the profile name {quoted(profile)} is empty, begins or ends with a space, or"
                " contains a control character",
                'Write a name like [profiles.work] or [profiles."my work"].',
            )
        else:
            for name, value in own.items():
                yield from self._setting(profile, name, value)

    def _setting(self, profile: str, name: str, value: Any) -> Iterator[Mistake]:
        path = ("profiles", profile, name)
        wrong: tuple[str, str] | None
        if name == "profile":
            wrong = (
                f"profile is below {header(*path[:2])}, so it belongs to that profile",
                "Move it to the top of the file, above the first [profiles.…].",
            )
        elif name not in SETTINGS:
            if is_secret(name):
                yield self._secret(path, profile)
                return
            wrong = _unknown(path, value)
        elif keys := _nested(path, value):
            whole = plain(".".join(keys))
            example = '["scope"]' if name == "hosts" else '"value"'
            yield self._mistake(
                (*path, *keys),
                f"{whole} is not in quotes below {header(*path)}, so its dots make nested tables",
                f'Write "{whole}" = {example}',
                profile,
            )
            return
        else:
            wrong = _of_value(path, value)
        if wrong:
            yield self._mistake(path, *wrong, profile)

    def _secret(self, path: tuple[str, ...], profile: str | None = None) -> Mistake:
        return self._mistake(
            path,
            f"{quoted(path[-1])} is a secret; secrets are not read from this file",
            "Remove the line. Secrets come from the keyring or the environment"
            " (settings client_secret_from and client_certificate).",
            profile,
        )


def _unknown(path: tuple[str, ...], value: Any) -> tuple[str, str]:
    """The mistake for a key that is not a setting, and the correct form."""
    name = path[-1]
    guess = meant(name, SETTINGS)
    if isinstance(value, Mapping) and not guess:
        if any(key in SETTINGS or meant(key, SETTINGS) for key in value):
            return (
                f"{header(*path)} is a table in the profile {quoted(path[1])}, not a profile",
                f"Write {header(path[0], '.'.join(path[1:]))}.",
            )
        return (
            f"there is no table {header(*path)}",
            f"A profile has the tables {', '.join(name for name in SETTINGS if is_table(name))}.",
        )
    if guess and is_table(guess):
        return f"there is no table {header(*path)}", f"Did you mean {header(*path[:2], guess)}?"
    if guess:
        return f"there is no setting {quoted(name)}", f"Did you mean {guess}? {form_of(guess)}"
    known = ", ".join(each for each in SETTINGS if each != "profile")
    return f"there is no setting {quoted(name)}", f"The settings are {known}."


def _nested(path: tuple[str, ...], value: Any) -> list[str]:
    """The parts of an unquoted key with dots, which TOML reads as nested tables."""
    if is_table(path[-1]) and isinstance(value, Mapping):
        for name, inner in value.items():
            keys = [name]
            while isinstance(inner, Mapping) and inner:
                key, inner = next(iter(inner.items()))
                keys.append(key)
            if len(keys) > 1:
                return keys
    return []


def _of_value(path: tuple[str, ...], value: Any) -> tuple[str, str] | None:
    name = path[-1]
    if isinstance(value, _DATES):
        return f"TOML reads {name} as a date", f"Put it in quotes: {form_of(name, path[1])}"
    try:
        check_form(name, value)
    except (ValueError, TypeError) as error:
        remedy = f"Write {form_of(name, path[1])}"
        if isinstance(value, str) and re.search(r"[\x00-\x1f]", value):
            remedy = "In double quotes a backslash starts an escape: put a path in single quotes."
        return f"{name} {plain(error)}", remedy
    return None
