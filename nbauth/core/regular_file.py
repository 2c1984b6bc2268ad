"""Reads a file that a setting or a variable names: never a pipe or a device, and up to a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: str | Path, most: int) -> bytes:
    """The contents of a file with at most this many bytes.

    Raises ``OSError``, also for anything else than a regular file: a pipe may have no end, and to
    open one waits for its writer. Raises ``ValueError`` for a path that no file can have.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        refuse_special(os.fstat(descriptor).st_mode)
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most:,} bytes")
    return data


def refuse_special(mode: int) -> None:
    """Raise ``OSError`` for the mode of anything else than a regular file."""
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
