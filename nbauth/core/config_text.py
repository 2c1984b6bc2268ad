"""Reads ``config.toml``, and reports in plain words why it cannot be read."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path

from nbauth.core.config_file import ABSENT, ConfigFile, Mistake, refuse
from nbauth.core.config_mistakes import find
from nbauth.core.toml_words import in_words

LARGEST = 1_000_000
"""Bytes; a larger file is refused."""
_UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|(?:[^\x00]\x00){2}|(?:\x00[^\x00]){2}")


def read_files(paths: Iterable[Path]) -> ConfigFile:
    """The first file that exists.

    A folder without read permission is skipped and reported in ``passed_over``; a file without read
    permission is an error.

    Raises ``ConfigurationError`` if the file cannot be read, or has mistakes outside its profiles.
    """
    passed_over: list[str] = []
    first = None
    for path in paths:
        first = first or path
        try:
            data = _bytes(path)
        except PermissionError as error:
            if _may_be_seen(path):
                _unreadable(path, error)
            passed_over.append(
                f"{path.parent} cannot be read ({_reason(error)}), so a config.toml in it is"
                " ignored."
            )
            continue
        except OSError as error:
            _unreadable(path, error)
        if data is not None:
            return _parsed(str(path), data, tuple(passed_over))
    name = str(first or "config.toml")
    return ConfigFile(name, passed_over=tuple(passed_over), found=False)


def _bytes(path: Path) -> bytes | None:
    """The file's contents; ``None`` if it does not exist. Raises ``OSError``."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode) and not os.path.samefile(path, os.devnull):  # a pipe has no end
        raise OSError(errno.EINVAL, "it is not a regular file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(errno.EFBIG, "it is longer than a megabyte")
    return data


def _may_be_seen(path: Path) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _unreadable(path: Path, error: OSError) -> None:
    what = f"it cannot be read: {_reason(error)}"
    refuse(str(path), [Mistake(what, "Make it a readable file, or remove it.")])


def _parsed(name: str, data: bytes, passed_over: tuple[str, ...]) -> ConfigFile:
    text = _decoded(name, data)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, or a number too long
        refuse(name, [in_words(text, error)])
        raise
    mistakes = find(table, text)
    refuse(name, [each for each in mistakes if each.profile is None])
    return ConfigFile(name, table, text, tuple(mistakes), passed_over)


def _decoded(name: str, data: bytes) -> str:
    if _UTF_16.match(data):
        what = "it is encoded in UTF-16 (as > in Windows PowerShell writes), not in UTF-8"
        refuse(name, [Mistake(what, "Save it as UTF-8 (Notepad: Save as, Encoding: UTF-8).")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = f"it is not valid TOML: the byte {data[error.start]:#04x} is not UTF-8"
        refuse(name, [Mistake(what, "Save it as UTF-8.", line)])
        raise
    return text
