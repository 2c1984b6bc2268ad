"""Files and folders for their owner alone, written so that no crash or full disk costs any."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from nbauth.core.errors import PersistenceError

_POSIX = os.name == "posix"  # elsewhere the profile folder's access list keeps others out
_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # for a planted FIFO
_STAMPS = os.utime in os.supports_fd
_AS_OWNER = "Run it without sudo, or with sudo -H; or set XDG_DATA_HOME to a folder of root's own."
_LARGEST = 64 * 1024 * 1024


@contextlib.contextmanager
def told_in_words(what: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into the ``PersistenceError`` that says it."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise PersistenceError(
            f"Could not {what} {path}: {reason}.",
            code=errno.errorcode.get(error.errno or 0, "persistence"),
        ) from error


def make_folder(folder: Path, *, denied: int = 0o077) -> None:
    """Make a folder of mode 0700, with the parents it lacks; check one that is there.

    ``denied``: the bits of the mode that one which is there may not have.

    Raises ``OSError``, and ``PersistenceError`` for one that is a link or open to others.
    """
    if not os.path.lexists(folder):
        _refuse_anothers(folder.parent)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        refuse_unless_private(folder, os.lstat(folder), stat.S_IFDIR, denied)
        return
    except FileNotFoundError:
        _make_parents(folder.parent)
        os.mkdir(folder, 0o700)
    os.chmod(folder, 0o700)  # the umask may have taken the owner's own bits


def _refuse_anothers(folder: Path) -> None:
    """Raise ``PersistenceError`` where root would make a folder in another user's.

    ``sudo -E`` keeps the person's ``HOME``: the person could then neither read nor replace what is
    kept there.
    """
    if not _POSIX or os.geteuid() != 0:
        return
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    owner = os.stat(folder).st_uid
    if owner != 0:
        raise PersistenceError(
            f"{folder} belongs to another user (number {owner}), and this process runs as root:"
            " nothing is kept there.",
            code="not_private",
            hint=_AS_OWNER,
        )


def _make_parents(folder: Path) -> None:
    """As the XDG Base Directory Specification has it: what is missing is made with mode 0700."""
    if not folder.exists():
        _make_parents(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)


def refuse_unless_private(
    path: Path, status: os.stat_result, kind: int = stat.S_IFREG, denied: int = 0o077
) -> None:
    """Raise ``PersistenceError`` unless it is of the kind, ours, and closed to everybody else."""
    remedy = "Remove it, or have somebody do so; then run the cell again."
    if stat.S_IFMT(status.st_mode) != kind:
        link = stat.S_ISLNK(status.st_mode)
        plain = "folder" if kind == stat.S_IFDIR else "file"
        raise PersistenceError(
            f"{path} is {'a link' if link else f'no {plain}'}, where sign-ins are to be kept:"
            " nothing is read from it or written to it.",
            code="not_private",
            hint=remedy,
        )
    if not _POSIX:
        return
    if status.st_uid != os.geteuid():
        raise PersistenceError(
            f"{path} belongs to another user (number {status.st_uid}): nothing is read from it"
            " or written to it.",
            code="not_private",
            hint=_AS_OWNER if os.geteuid() == 0 else remedy,
        )
    if status.st_mode & denied:
        right = "700" if kind == stat.S_IFDIR else "600"
        raise PersistenceError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}):"
            " nothing is read from it or written to it.",
            code="not_private",
            hint=f"If it is yours: chmod {right} '{path}'",
        )


def read_file(path: Path) -> bytes:
    """All bytes of a private file.

    Raises ``OSError``, and ``PersistenceError`` for one that is a link or open to others.
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
    """Put these bytes in the place of a private file, or make it, in one step.

    Whoever reads meanwhile gets all of the old or all of the new; when it returns, the new is on
    the disk. The caller sees to it that nobody else writes the same file.

    Raises ``OSError``; the old file is as it was then. And ``PersistenceError`` for an old file
    that is a link or open to others.
    """
    with contextlib.suppress(FileNotFoundError):
        refuse_unless_private(path, os.lstat(path))
    temporary = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # of a writer who was killed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    try:
        try:
            if _POSIX:
                os.fchmod(descriptor, 0o600)  # the umask may have taken the owner's own bits
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            # Clocks of file systems tick in milliseconds; stamps have to tell quicker saves apart.
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
    """Bring the new name itself to the disk; the file is in its place already."""
    if not _POSIX:
        return
    with contextlib.suppress(OSError):  # not all file systems let a folder be synced
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
