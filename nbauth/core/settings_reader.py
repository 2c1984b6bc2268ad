"""The settings of this process, put together anew only after something they come from has changed.

Every call for a token asks for the settings. Whoever changes a variable of the environment or edits
``config.toml`` in the middle of a cell means the next call, so what is kept is checked each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbauth.core.settings import NAMES, Settings, read_files, resolve, variable

_VARIABLES = tuple(variable(name) for name in NAMES)
_PLACES = ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS")
"""What the places of ``config.toml`` depend on, where they depend on variables."""

_WATCHED = (*_VARIABLES, *_PLACES)

Environment = tuple[str | None, ...]


class SettingsReader:
    """Reads settings.

    Args:
        environ: the environment.
        paths: where ``config.toml`` may be, the first that is there counting.
    """

    def __init__(self, environ: Mapping[str, str], paths: Callable[[], Sequence[Path]]) -> None:
        self._environ = environ
        self._find_paths = paths
        self._paths: tuple[object, Sequence[Path]] = (None, ())
        self._file: tuple[object, dict[str, Any], str] = (None, {}, "")
        self._settings: tuple[object, Settings] = (None, Settings())

    def settings(self, call: Mapping[str, Any], configured: Mapping[str, Any]) -> Settings:
        """What holds for a call; see ``resolve``. Raises ``ConfigurationError``."""
        environment = self._environment()
        stamps, file, name = self._read(environment)
        plain = all(value is None for value in call.values())
        seen = environment, stamps, dict(configured)
        known = self._settings
        if plain and known[0] == seen and _still_holds(known[1]):
            return known[1]
        environ = {key: value for key, value in zip(_VARIABLES, environment, strict=False) if value}
        made = resolve(call, configured, environ, file, name)
        if plain:
            self._settings = seen, made
        return made

    def profiles(self) -> list[str]:
        """The names of those that ``config.toml`` has. Raises ``ConfigurationError``."""
        return sorted(self._read(self._environment())[1].get("profiles") or {})

    def _environment(self) -> Environment:
        get = self._environ.get
        return tuple([get(name) for name in _WATCHED])

    def _read(self, environment: Environment) -> tuple[object, dict[str, Any], str]:
        places = environment[len(_VARIABLES) :]
        if self._paths[0] != places:
            self._paths = places, self._find_paths()
        paths = self._paths[1]
        stamps = places, [_stamp(path) for path in paths]
        known = self._file
        if known[0] != stamps:
            file, name = read_files(paths)
            known = self._file = stamps, file, name or str(paths[0])
        return known


def _still_holds(settings: Settings) -> bool:
    """Whether the CA file is there still; else it is said that it isn't."""
    return not isinstance(settings.verify, str) or os.path.exists(settings.verify)


def _stamp(path: Path) -> object:
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode
