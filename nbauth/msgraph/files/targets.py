"""Where a download goes: memory, a file, or a binary file object."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.text import plain
from nbauth.msgraph.content import Content

To = str | os.PathLike[str] | BinaryIO
BUFFER = 1024 * 1024
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)


class Target(Protocol):
    """Takes the parts of a download."""

    def write(self, part: bytes) -> None:
        """Add a part. Raises ``GraphError`` if it cannot be written."""

    def restart(self) -> bool:
        """Drop what was written; false if that is not possible."""

    def finish(self, named: str | None) -> Any:
        """The whole content was written. Returns what the call returns."""

    def drop(self) -> None:
        """Remove what is incomplete, if :meth:`finish` was not called."""


class InMemory:
    """Returns bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> None:
        self._parts.append(part)

    def restart(self) -> bool:
        self._parts = []
        return True

    def finish(self, named: str | None) -> bytes:
        return Content(b"".join(self._parts))

    def drop(self) -> None:
        self._parts = []


class InFile:
    """Writes to a temporary file, which gets the final name when it is complete.

    Args:
        path: the file, or an existing folder, which gets a file with the name of the download.
        name: in a folder; ``None``: as the response says.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None) -> None:
        try:
            given = Path(os.path.realpath(path))
        except ValueError as error:
            raise _unwritable(Path(plain(path)), _why(error)) from None
        self._in_folder = given.is_dir()
        self._path = given
        self._name = name
        folder = given if self._in_folder else given.parent
        if given.exists() and not (self._in_folder or given.is_file()):
            raise _unwritable(given, "it is not a regular file")
        self._temporary = folder / f".nbauth-{secrets.token_hex(6)}.part"
        try:
            self._file = open(self._temporary, "xb", buffering=BUFFER)  # noqa: SIM115 - drop
        except (OSError, ValueError) as error:
            raise _unwritable(given, _why(error)) from None
        except BaseException:  # an interrupt after the file was made
            self._temporary.unlink(missing_ok=True)
            raise

    def write(self, part: bytes) -> None:
        try:
            self._file.write(part)
        except OSError as error:
            raise _not_written(self._path, error) from None

    def restart(self) -> bool:
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise _not_written(self._path, error) from None
        return True

    def finish(self, named: str | None) -> Path:
        path = self._path
        if self._in_folder:
            path = path / self._own_name(named)
        try:
            self._file.close()
            os.replace(self._temporary, path)
        except OSError as error:
            raise _not_written(path, error) from None
        return path

    def drop(self) -> None:
        with contextlib.suppress(OSError):  # what is buffered may not fit on the disk
            self._file.close()
        with contextlib.suppress(OSError):  # the folder may be gone
            self._temporary.unlink(missing_ok=True)

    def _own_name(self, named: str | None) -> str:
        name = _UNSAFE.sub("_", self._name or named or "").strip(". ")[:200]
        if name and not _RESERVED.match(name):
            return name
        raise ConfigurationError(
            "The download has no name that can be used in the folder.",
            code="bad_option",
            hint="Give the path of a file instead of a folder.",
        )


class InObject:
    """Writes to a binary file object, from its position on."""

    def __init__(self, file: Any) -> None:
        try:
            file.write(b"")
        except (AttributeError, TypeError, OSError, ValueError):
            raise ConfigurationError(
                "The target is not a path or a file object that was opened for writing in binary"
                " mode.",
                code="bad_option",
                hint='Open the file with open(path, "wb").',
            ) from None
        self._file = file
        self._written = False
        try:
            self._start = file.tell() if file.seekable() else None
        except (AttributeError, OSError):
            self._start = None

    def write(self, part: bytes) -> None:
        left = memoryview(part)
        self._written = True
        with _of_an_object():
            while left:  # an object without a buffer may take less than it was given
                taken = self._file.write(left)
                if taken == 0:
                    raise ValueError("it takes nothing more")
                left = left[len(left) if taken is None else taken :]

    def restart(self) -> bool:
        if self._start is None:
            return not self._written
        with _of_an_object():
            self._file.seek(self._start)
            self._file.truncate()
        return True

    def finish(self, named: str | None) -> Any:
        with _of_an_object():
            if callable(flush := getattr(self._file, "flush", None)):
                flush()
        return self._file

    def drop(self) -> None:
        """What was written stays; the caller owns the object."""


def target_of(to: To | None, name: str | None) -> Target:
    """The target; raises ``ConfigurationError`` before anything is sent."""
    match to:
        case None:
            return InMemory()
        case str() | os.PathLike():
            return InFile(to, name)
    return InObject(to)


def name_of(disposition: str) -> str | None:
    """The file's name in a ``Content-Disposition`` header (RFC 6266)."""
    message = Message()
    message["Content-Disposition"] = disposition
    return message.get_filename()


def _why(error: Exception) -> str:
    return plain(getattr(error, "strerror", None) or error)


def _unwritable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{plain(path)} cannot be written: {why}. Nothing was sent.",
        code="no_file",
        hint="Check the path, and whether its folder exists and may be written.",
    )


@contextlib.contextmanager
def _of_an_object() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: it was closed
        failed = _not_written("The file object", error)
    else:
        return
    raise failed


def _not_written(path: object, error: Exception) -> GraphError:
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return GraphError(
        f"{plain(path)} cannot be written: {_why(error)}.",
        code="disk_full" if full else "no_file",
        hint="Free some space, or use another folder." if full else "Use another folder.",
    )
