"""In which folders settings are written down and sign-ins are kept, on each system.

As the XDG Base Directory Specification 0.8 has it: a relative path in its variables is ignored, and
``XDG_CONFIG_DIRS`` is a list, the first being the most important. macOS and Windows have folders of
their own; there, the specification's count where their variables are set.
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
"""What the places of ``config.toml`` depend on."""
WINDOWS, MACOS = "win32", "darwin"


def home(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> str | None:
    """The person's home folder, whether it is there or not; ``None`` where none is known.

    A container's numeric user has no entry in the password database; with no ``HOME`` either there
    is no home, and Python's own ``expanduser`` gives ``~`` back as it is.
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
    """Where ``config.toml`` may be, the first that is there counting."""
    kind = _kind(system)
    folders = dict.fromkeys(_config_folders(environ, system))
    return [kind(folder) / "nbauth" / "config.toml" for folder in folders]


def data_folder(
    environ: Mapping[str, str] = os.environ, system: str = sys.platform
) -> PurePath | None:
    """Where sign-ins are kept, for this person alone; ``None`` where no home is known."""
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
