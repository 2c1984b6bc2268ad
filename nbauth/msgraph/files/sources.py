"""What is uploaded: a file, bytes or a binary file object, read at any position."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Hashable, Iterator
from typing import Any, BinaryIO

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.text import plain
from nbauth.msgraph.later import check_stopped

File = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
PIECE = 64 * 1024
IN_MEMORY = 16 * 1024 * 1024
"""Bytes of an object without ``seek`` that are kept in memory; more go to a temporary file."""


class Source:
    """The bytes to upload. It is read from the position of a file object to its end.

    After :meth:`close`, a file object that can seek is at its end if all was ``sent``, else where
    it was, so that the same call can be repeated.

    Attributes:
        size: in bytes.
        identity: equal for the same content in a later call; ``None`` if that cannot be known.
    """

    def __init__(self, file: File) -> None:
        self._own = True
        self._start = 0
        self.identity: Hashable = None
        match file:
            case str() | os.PathLike():
                self._file: Any = _opened(file)
            case bytes() | bytearray() | memoryview():
                data = bytes(file)  # a view need not be contiguous
                self._file = io.BytesIO(data)
                self.identity = hashlib.sha256(data).digest()
            case _:
                self._take(file)
        try:
            self._stat = self._now()
        except OSError as error:  # as of some devices
            raise _unreadable(plain(getattr(file, "name", None) or file), error) from None
        self.size = self._stat[0]
        if self.identity is None and len(self._stat) > 1:
            self.identity = (*self._stat, self._start)
        self._name = plain(getattr(file, "name", None) or file) if self._on_disk else "The content"

    @property
    def _on_disk(self) -> bool:
        return len(self._stat) > 1

    def read(self, position: int, size: int) -> bytes:
        """Bytes from a position. Raises ``GraphError`` if the content has changed meanwhile."""
        try:
            self._file.seek(self._start + position)
            data = b"".join(self._all(size))
            same = len(data) == min(size, self.size - position) and self._now() == self._stat
        except (OSError, ValueError, TypeError) as error:  # closed; or it gives no bytes
            raise _unreadable(self._name, error) from None
        if same:
            return data
        raise GraphError(
            f"{self._name} changed during its upload.",
            code="content_changed",
            hint="Repeat the call when nothing writes to it. Nothing was replaced.",
        )

    def close(self, sent: bool) -> None:
        """Close what was opened here."""
        if self._own:
            self._file.close()
        elif not self._file.closed:
            self._file.seek(self._start + (self.size if sent else 0))

    def _all(self, size: int) -> Iterator[bytes]:
        while size > 0 and (part := self._file.read(size)):
            yield part
            size -= len(part)

    def _take(self, file: Any) -> None:
        try:
            binary = isinstance(file.read(0), bytes)
        except (AttributeError, OSError, ValueError):
            binary = False
        if not binary:
            raise ConfigurationError(
                "The content is not a path, bytes or a file object that was opened for reading in"
                " binary mode.",
                code="bad_option",
                hint='Open the file with open(path, "rb"), or encode the text.',
            )
        try:
            self._start = file.tell() if file.seekable() else -1
        except (AttributeError, OSError):
            self._start = -1
        self._own = self._start < 0
        if self._own:
            self._start, self._file = 0, _copied(file)
        else:
            self._file = file
            if isinstance(file, io.BytesIO):
                self.identity = hashlib.sha256(file.getbuffer()[self._start :]).digest()

    def _now(self) -> tuple[int, ...]:
        """The size; for a file on disk also what tells that it was changed or replaced."""
        size = self._file.seek(0, os.SEEK_END) - self._start
        try:
            known = None if self._copied else os.fstat(self._file.fileno())
        except (AttributeError, OSError):
            known = None
        if known is None:
            return (max(size, 0),)
        return max(size, 0), known.st_dev, known.st_ino, known.st_mtime_ns

    @property
    def _copied(self) -> bool:
        return isinstance(self._file, tempfile.SpooledTemporaryFile)


class Slice:
    """The body of one request, which is read in small pieces, so that it can be stopped."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def __iter__(self) -> Iterator[bytes]:
        """Requests takes an iterable as a stream; its parts come from :meth:`read`."""
        while part := self.read():
            yield part

    def read(self, size: int = 0) -> bytes:
        """The next piece. It may be larger than ``size``: urllib3 asks for small ones."""
        check_stopped()
        part = self._data[self._at : self._at + PIECE].tobytes()
        self._at += len(part)
        return part


def _opened(path: str | os.PathLike[str]) -> Any:
    try:
        file = open(path, "rb")  # noqa: SIM115 - Source.close
    except (OSError, ValueError) as error:
        raise _unreadable(plain(os.fspath(path)), error) from None
    if file.seekable():
        return file
    with file:
        return _copied(file)


def _copied(file: Any) -> Any:
    """A copy of what cannot seek: each request needs the total size, and may be repeated."""
    copy = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - Source.close
    try:
        shutil.copyfileobj(file, copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _unreadable(name: str, error: Exception) -> ConfigurationError:
    why = plain(getattr(error, "strerror", None) or error)
    return ConfigurationError(
        f"{name} cannot be read: {why}.",
        code="no_file",
        hint="Check the path. To upload a text, encode it: text.encode().",
    )
