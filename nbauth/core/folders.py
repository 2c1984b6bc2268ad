"""The folders of settings and of stored sign-ins, on each system.

They follow the XDG Base Directory Specification 0.8: a relative path in its variables is ignored,
and ``XDG_CONFIG_DIRS`` is a list with the most important first. macOS and Windows have their own
folders; the specification's variables, if set, take precedence there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

VARIABLES = (
    "HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS",
    "USERPROFILE", "LOCALAPPDATA", "PROGRAMDATA",
)  # fmt: skip
"""The variables that determine where ``config.toml`` is."""
WINDOWS, MACOS = "win32", "darwin"


def home(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> str | None:
    """The user's home folder, whether it exists or not; ``None`` if it is unknown.

    A numeric user in a container has no entry in the password database. If ``HOME`` is not set
    either, there is no home folder, and Python's ``expanduser`` returns ``~`` unchanged.
    """
    named = environ.get("USERPROFILE" if system == WINDOWS else "HOME", "")
    if _kind(system)(named).is_absolute():
        return named
    if system == WINDOWS:
        return None
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid()).pw_dir
    except (KeyError, OSError):
        return None
    return entry if os.path.isabs(entry) else None


def config_files(
    environ: Mapping[str, str] = os.environ, system: str = sys.platform
) -> list[PurePath]:
    """The possible paths of ``config.toml``; the first that exists is used."""
    kind = _kind(system)
    folders = dict.fromkeys(_config_folders(environ, system))
    return [kind(folder) / "nbauth" / "config.toml" for folder in folders]


def data_folder(
    environ: Mapping[str, str] = os.environ, system: str = sys.platform
) -> PurePath | None:
    """The user's folder of stored sign-ins; ``None`` if no home folder is known."""
    kind, own = _kind(system), home(environ, system)
    folder = _absolute(environ, kind, "XDG_DATA_HOME") if system != WINDOWS else None
    if folder is None and system == WINDOWS:
        folder = _absolute(environ, kind, "LOCALAPPDATA")
    if folder is None and own is not None:
        inside = {WINDOWS: r"AppData\Local", MACOS: "Library/Application Support"}
        folder = kind(own) / inside.get(system, ".local/share")
    return None if folder is None else folder / "nbauth"


def _config_folders(environ: Mapping[str, str], system: str) -> Iterator[PurePath]:
    kind, own = _kind(system), home(environ, system)
    xdg = _absolute(environ, kind, "XDG_CONFIG_HOME")
    separator = ";" if system == WINDOWS else ":"
    listed = [kind(part) for part in environ.get("XDG_CONFIG_DIRS", "").split(separator)]
    shared = [folder for folder in listed if folder.is_absolute()]
    if xdg is not None:
        yield xdg
    if system == WINDOWS:
        local = _absolute(environ, kind, "LOCALAPPDATA")
        if local is not None or own is not None:
            yield local or kind(own or "") / r"AppData\Local"
        yield from shared
        yield _absolute(environ, kind, "PROGRAMDATA") or kind(r"C:\ProgramData")
        return
    if own is not None and system == MACOS:
        yield kind(own) / "Library/Application Support"
    if own is not None and xdg is None:
        yield kind(own) / ".config"
    yield from shared
    if system == MACOS:
        yield kind("/Library/Application Support")
    elif not shared:
        yield kind("/etc/xdg")


def _absolute(environ: Mapping[str, str], kind: type[PurePath], name: str) -> PurePath | None:
    folder = kind(environ.get(name, ""))
    return folder if folder.is_absolute() else None


def _kind(system: str) -> type[PurePath]:
    if system == sys.platform:
        return Path
    return PureWindowsPath if system == WINDOWS else PurePosixPath
