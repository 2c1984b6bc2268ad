"""Private files and folders, written so that a crash or a full disk loses no data."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from nbauth.core.errors import PersistenceError

_POSIX = os.name == "posix"  # on Windows, the access list of the profile folder protects the files
_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # do not block on a FIFO
_STAMPS = os.utime in os.supports_fd
_AS_OWNER = "Run it without sudo, or with sudo -H, or set XDG_DATA_HOME to a folder of root."
_LARGEST = 64 * 1024 * 1024


@contextlib.contextmanager
def persistence_errors(what: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a ``PersistenceError`` with a readable message."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise PersistenceError(
            f"Could not {what} {path}: {reason}.",
            code=errno.errorcode.get(error.errno or 0, "persistence"),
        ) from error


def make_folder(folder: Path, *, denied: int = 0o077) -> None:
    """Create a folder with mode 0700, and missing parents; if it exists, check its owner and mode.

    ``denied``: mode bits that an existing folder must not have.

    Raises ``OSError``; ``PersistenceError`` for a link and for a folder open to other users.
    """
    if not os.path.lexists(folder):
        _refuse_folder_of_another_user(folder.parent)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        refuse_unless_private(folder, os.lstat(folder), stat.S_IFDIR, denied)
        return
    except FileNotFoundError:
        _make_parents(folder.parent)
        os.mkdir(folder, 0o700)
    os.chmod(folder, 0o700)  # the umask may have removed the owner's bits


def _refuse_folder_of_another_user(folder: Path) -> None:
    """Raise ``PersistenceError`` if root would create a folder inside another user's folder.

    ``sudo -E`` keeps the person's ``HOME``. The person could then neither read nor replace what is
    stored there.
    """
    if not _POSIX or os.geteuid() != 0:
        return
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    owner = os.stat(folder).st_uid
    if owner != 0:
        raise PersistenceError(
            f"{folder} belongs to another user (uid {owner}) and this process runs as root, so"
            " nothing is stored there.",
            code="not_private",
            hint=_AS_OWNER,
        )


def _make_parents(folder: Path) -> None:
    """Create missing parents with mode 0700 (XDG Base Directory Specification)."""
    if not folder.exists():
        _make_parents(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)


def refuse_unless_private(
    path: Path, status: os.stat_result, kind: int = stat.S_IFREG, denied: int = 0o077
) -> None:
    """Raise ``PersistenceError`` unless it has this type, is ours, and is closed to other users."""
    remedy = "Remove it, or ask an administrator to remove it. Then run the cell again."
    if stat.S_IFMT(status.st_mode) != kind:
        link = stat.S_ISLNK(status.st_mode)
        plain = "folder" if kind == stat.S_IFDIR else "file"
        raise PersistenceError(
            f"{path} is {'a link' if link else f'not a {plain}'}, so nbauth does not store sign-ins"
            " there.",
            code="not_private",
            hint=remedy,
        )
    if not _POSIX:
        return
    if status.st_uid != os.geteuid():
        raise PersistenceError(
            f"{path} belongs to another user (uid {status.st_uid}). nbauth does not use it.",
            code="not_private",
            hint=_AS_OWNER if os.geteuid() == 0 else remedy,
        )
    if status.st_mode & denied:
        right = "700" if kind == stat.S_IFDIR else "600"
        raise PersistenceError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o})."
            " nbauth does not use it.",
            code="not_private",
            hint=f"If it is yours: chmod {right} '{path}'",
        )


def read_file(path: Path) -> bytes:
    """Return all bytes of a private file.

    Raises ``OSError``; ``PersistenceError`` for a link and for a file open to other users.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPEN | _NO_WAITING)
    except OSError as error:
        if error.errno == errno.ELOOP:
            refuse_unless_private(path, os.lstat(path))
        raise
    with os.fdopen(descriptor, "rb") as file:
        refuse_unless_private(path, os.fstat(descriptor))
        return file.read(_LARGEST)


def write_file(path: Path, data: bytes) -> None:
    """Replace or create a private file in one step.

    A reader gets all of the old content or all of the new. On return, the new content is on disk.
    The caller makes sure that nobody else writes the same file.

    Raises ``OSError``, and then the old file is unchanged; ``PersistenceError`` if the old file is
    a link or open to other users.
    """
    with contextlib.suppress(FileNotFoundError):
        refuse_unless_private(path, os.lstat(path))
    temporary = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # left by a writer that was killed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    try:
        try:
            if _POSIX:
                os.fchmod(descriptor, 0o600)  # the umask may have removed the owner's bits
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            # File system clocks have a resolution of milliseconds; two quick saves must differ.
            if _STAMPS:
                now = time.time_ns()
                os.utime(descriptor, ns=(now, now))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Write the folder's new directory entry to disk."""
    if not _POSIX:
        return
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
