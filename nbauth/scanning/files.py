"""Reads the files to scan, and replaces a file by its cleaned form."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nbauth.core.errors import ConfigurationError
from nbauth.core.regular_file import read_regular

_LARGEST = 1024**3
_LOOKED_AT = 8000
"""Git, too, takes a file for binary if these first bytes contain a zero byte."""
_LEFT_OUT = {"node_modules", "__pycache__"}
_CHECKPOINTS = ".ipynb_checkpoints"


class Loaded(NamedTuple):
    """A text file as it was read; ``encoding`` gives the same bytes again."""

    path: Path
    data: bytes
    encoding: str

    @property
    def text(self) -> str:
        """The characters; bytes that are none stay as they are."""
        return self.data.decode(self.encoding, "surrogateescape")

    def encoded(self, text: str) -> bytes:
        """The bytes of a changed text."""
        return text.encode(self.encoding, "surrogateescape")


def files_in(path: Path) -> Iterator[Path]:
    """The file itself, or the notebooks in a folder and below; copies in checkpoints too."""
    if not path.is_dir():
        yield path
        return
    for folder, below, names in os.walk(path, onerror=_refuse):
        below[:] = sorted(
            name
            for name in below
            if name not in _LEFT_OUT and (name == _CHECKPOINTS or not name.startswith("."))
        )
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".ipynb"))


def load(path: Path) -> Loaded | None:
    """Read a file. None for a binary file.

    Raises ``ConfigurationError``.
    """
    try:
        data = read_regular(path, _LARGEST)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return of_bytes(path, data)


def of_bytes(path: Path, data: bytes) -> Loaded | None:
    """The text that the bytes are. None if they are binary."""
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            loaded = Loaded(path, data, encoding)
            with contextlib.suppress(UnicodeError):
                if loaded.encoded(loaded.text) == data:
                    return loaded
    return None if b"\0" in data[:_LOOKED_AT] else Loaded(path, data, "utf-8")


def replace(loaded: Loaded, text: str) -> None:
    """Replace the file in one step; its mode stays. If it is a link, the file behind it.

    Raises ``ConfigurationError``, and then the file is as before.
    """
    target = Path(os.path.realpath(loaded.path))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(loaded.encoded(text))
                file.flush()
                os.fsync(file.fileno())
            _copy_status(target, name)
            if read_regular(target, _LARGEST) != loaded.data:
                raise ConfigurationError(
                    f"{loaded.path} has changed while it was scanned. It was not cleaned.",
                    code="file_changed",
                    hint="Close it in other programs, then scan it again.",
                )
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise ConfigurationError(
            f"Could not replace {loaded.path}: {_reason(error)}.",
            code="file_not_replaced",
            hint="Its secrets are still in it. Correct the cause, then scan it again.",
        ) from error


def _copy_status(target: Path, name: str) -> None:
    """Give a new file the mode, the attributes and if possible the owner of another one."""
    status = os.stat(target)
    if hasattr(os, "chown") and os.stat(name).st_uid != status.st_uid:
        with contextlib.suppress(OSError):
            os.chown(name, status.st_uid, status.st_gid)
    shutil.copystat(target, name)
    os.utime(name)


def _refuse(error: OSError) -> None:
    raise _unreadable(Path(str(error.filename)), error) from error


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"Could not read {path}: {_reason(error)}.",
        code="unreadable_file",
        hint="Correct the path, or the permissions of the file.",
    )


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).lower()
