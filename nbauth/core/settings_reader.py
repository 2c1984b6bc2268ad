"""The settings of this process, read at the start of a cell or at most once a second.

Every call for a token needs the settings. In a home folder on the network, each check of
``config.toml`` is a round trip, so the settings are cached between two checks. A change by
``configure`` or ``%config`` applies at once; a change of the environment or of ``config.toml``
applies from the next cell, or after a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbauth.core.config_file import ABSENT, ConfigFile
from nbauth.core.errors import NbAuthError
from nbauth.core.folders import VARIABLES as PLACES
from nbauth.core.person import Notices, Person
from nbauth.core.settings import (
    CREDENTIAL,
    NAMES,
    Settings,
    check_profile,
    resolve,
    variable,
)
from nbauth.core.settings_values import read
from nbauth.core.text import closest
from nbauth.core.value_readers import SYSTEM

LOOK_EVERY = 1.0
"""Seconds between two checks of the environment and ``config.toml`` within a cell."""

_VARIABLES = tuple(variable(name) for name in NAMES)
_OURS = "NBAUTH_"
OTHER_VARIABLES = (
    "NBAUTH_PASSPHRASE",
    "NBAUTH_CLIENT_SECRET",
    "NBAUTH_CLIENT_CERTIFICATE_PASSWORD",
    "NBAUTH_DEMO_GRAPH_URL",
)
"""Environment variables of nbauth that are not settings."""
_WATCHED = (*_VARIABLES, *PLACES)

Environment = tuple[str | None, ...]


class SettingsReader:
    """Reads settings.

    Args:
        environ: the environment.
        find_paths: returns the possible paths of ``config.toml``; the first that exists is used.
        person: warnings about the file are shown here, once.
        look_every: seconds between two checks; 0 checks on every call.

    Attributes:
        configured: the settings of this kernel, by name.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        find_paths: Callable[[], Sequence[Path]] = tuple,
        person: Person | None = None,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self.configured: dict[str, Any] = {}
        self._environ = environ
        self._find_paths = find_paths
        self._look_every = look_every
        self._paths: tuple[object, Sequence[Path]] = (None, ())
        self._file: tuple[object, ConfigFile] = (None, ConfigFile(found=False))
        self._notices = None if person is None else Notices(person)
        self._seen: tuple[object, Settings] = (None, Settings())
        self._look = object()
        self._held: tuple[object, float, Settings] = (None, 0.0, Settings())
        self._redacts: tuple[object, float, bool] = (None, 0.0, True)

    def present(self) -> Settings:
        """The settings for a call without its own; the same object until a setting changes.

        Raises ``ConfigurationError``.
        """
        look, until, settings = self._held
        if look is self._look and time.monotonic() < until:
            return settings
        look = self._look  # taken before reading: a setting changed meanwhile is read next time
        settings = self._read({})
        self._held = look, time.monotonic() + self._look_every, settings
        return settings

    def settings(self, **call: Any) -> Settings:
        """The settings for a call, see ``resolve``. Raises ``ConfigurationError``."""
        own = {name: value for name, value in call.items() if value is not None}
        return self._read(own) if own else self.present()

    def redacts(self) -> bool:
        """Whether output is masked. Shows no warnings, as it is read while output is sent.

        With invalid settings, output is masked.
        """
        configured = self.configured.get("redact")
        if configured is not None:
            return bool(configured)
        look, until, redacts = self._redacts
        if look is not self._look or time.monotonic() >= until:
            look = self._look
            try:
                environment = self._environment()
                file = self._read_file(environment)[1]
                redacts = self._resolve({}, environment, file).redact
            except NbAuthError:
                redacts = True
            self._redacts = look, time.monotonic() + self._look_every, redacts
        return redacts

    def configure(self, **settings: Any) -> None:
        """Set them for this kernel; ``None`` unsets one. If one value is invalid, none is set.

        A ``credential`` also sets ``flow``, unless the call sets it.
        """
        if CREDENTIAL in settings:
            settings = _with_flow(settings, self.configured.get("flow"))
        known = (*NAMES, CREDENTIAL)
        self.configured = self.configured | {
            name: None if value is None and name in known else self.check(name, value, "configure")
            for name, value in settings.items()
        }
        self.look_again()

    def check(self, name: str, value: object, where: str) -> Any:
        """A setting's value in its type. Raises ``ConfigurationError``."""
        checked = read(name, value, where)
        if name == "profile":
            check_profile(checked, self.file())
        return checked

    def look_again(self) -> None:
        """Read the environment and ``config.toml`` again on the next call, for a new cell."""
        self._look = object()

    def profiles(self) -> list[str]:
        """The names of the profiles in ``config.toml``. Raises ``ConfigurationError``."""
        return sorted(self.file().profiles)

    def file(self) -> ConfigFile:
        """The ``config.toml`` in use. Raises ``ConfigurationError``."""
        return self._read_file(self._environment())[1]

    def places(self) -> Sequence[Path]:
        """The possible paths of ``config.toml``; the first that exists is used."""
        return self._find_paths()

    def strays(self) -> list[tuple[str, str]]:
        """Unknown variables with our prefix, each with the known variable that it resembles."""
        known = {name.removeprefix(_OURS): name for name in (*_VARIABLES, *OTHER_VARIABLES)}
        names = [name for name in self._environ if name.upper().startswith(_OURS)]
        strays = sorted(set(names) - set(known.values()))
        near = [closest(name.upper().removeprefix(_OURS), known) for name in strays]
        return [(name, known.get(one, "")) for name, one in zip(strays, near, strict=True)]

    def _read(self, call: Mapping[str, Any]) -> Settings:
        environment = self._environment()
        stamps, file = self._read_file(environment)
        seen = environment, stamps, self.configured
        known, settings = self._seen
        if not call and known == seen and _still_holds(settings):
            return settings
        made = self._resolve(call, environment, file)
        if not call:
            self._seen = seen, made
        if self._notices is not None:  # last, because showing a notice reads the settings
            for notice in file.notices(made.profile):
                self._notices.tell(notice)
        return made

    def _resolve(
        self, call: Mapping[str, Any], environment: Environment, file: ConfigFile
    ) -> Settings:
        environ = {key: value for key, value in zip(_VARIABLES, environment, strict=False) if value}
        return resolve(call, self.configured, environ, file)

    def _environment(self) -> Environment:
        get = self._environ.get
        return tuple([get(name) for name in _WATCHED])

    def _read_file(self, environment: Environment) -> tuple[object, ConfigFile]:
        places = environment[len(_VARIABLES) :]
        if self._paths[0] != places:
            self._paths = places, self._find_paths()
        paths = self._paths[1]
        stamps = places, [_stamp(path) for path in paths]
        known = self._file
        if known[0] != stamps:
            if self._notices is not None:
                self._notices.begin_anew()
            known = self._file = stamps, _read_files(paths, stamps[1])
        return known


def _with_flow(settings: dict[str, Any], flow: Any) -> dict[str, Any]:
    """The settings of a call that sets or removes ``credential``, with the flow that uses it."""
    if settings[CREDENTIAL] is not None:
        return {"flow": CREDENTIAL, **settings}
    return {"flow": None, **settings} if flow == CREDENTIAL else settings


def _read_files(paths: Sequence[Path], stamps: Sequence[object]) -> ConfigFile:
    """As ``config_text.read_files``, which is imported only if a file exists."""
    if all(stamp in ABSENT for stamp in stamps):
        return ConfigFile(str(next(iter(paths), "config.toml")), found=False)
    from nbauth.core.config_text import read_files

    return read_files(paths)


def _still_holds(settings: Settings) -> bool:
    """Whether the CA file still exists; if not, reading the settings again raises an error."""
    verify = settings.verify
    return not isinstance(verify, str) or verify == SYSTEM or os.path.exists(verify)


def _stamp(path: Path) -> object:
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode
