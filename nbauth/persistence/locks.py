"""Locks between processes, which the operating system frees when the holder dies.

On POSIX, filelock uses ``flock``, which belongs to an open file. A forked child inherits the open
file; filelock closes it in the child, and a lock object releases only in the process that created
it. So the child neither holds the lock nor keeps it held.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from nbauth.core.errors import PersistenceError
from nbauth.core.forks import no_fork
from nbauth.core.interrupts import apart
from nbauth.persistence.private import persistence_errors, refuse_unless_private

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL = 0.02  # seconds
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def locked(path: Path, patience: float, *, explain: bool = False) -> Iterator[None]:
    """Hold the lock of a file. The file is created with mode 0600 if missing, and is not removed.

    Args:
        path: the file.
        patience: seconds to wait for the current holder.
        explain: turn an ``OSError`` of the lock (not of the body) into a ``PersistenceError``.

    Raises ``PersistenceError`` after ``patience`` seconds, for a symbolic link, and if the file
    system has no locks; ``OSError`` for other errors of opening the file.
    """
    held = _HeldLock(path, patience)
    # If an interrupt breaks off the inner ``finally``, the outer one releases the lock.
    try:
        try:
            with persistence_errors("lock", path) if explain else nullcontext():
                apart(held.take)
            yield
        finally:
            apart(held.release)
    finally:
        if not held.ended:
            apart(held.release)


def refuse_without_locks(path: Path) -> None:
    """Raise ``PersistenceError`` if the file system has no locks. Creates the file if missing.

    Does not wait and loads no library. ``locked`` makes the same check, but later.
    """
    if sys.platform == "win32":
        return
    try:
        import fcntl
    except ImportError:
        raise _no_locks(path.parent) from None
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with _lock_errors(path):
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o777 != 0o600:
                os.fchmod(descriptor, 0o600)  # the umask may have removed the owner's bits
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked meanwhile has the descriptor
        except BlockingIOError:
            pass  # it is held, so locks work
        finally:
            os.close(descriptor)


class _HeldLock:
    """A lock that is acquired and released once, in a thread that no interrupt reaches.

    filelock keeps state for the whole process. If an interrupt leaves that state inconsistent,
    later locks block and forked children fail.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._lock: BaseFileLock | None = None
        self._over = self.ended = False

    def take(self) -> None:
        """See ``locked``. The caller may have been interrupted and have released it before this."""
        with no_fork():
            from filelock import FileLock, Timeout, has_fcntl

        # Without flock, filelock's own lock would stay held after its holder is killed.
        if sys.platform != "win32" and not has_fcntl:
            raise _no_locks(self._path.parent)
        lock = FileLock(self._path, mode=0o600, thread_local=False, fallback_to_soft=False)
        try:
            with _lock_errors(self._path):
                lock.acquire(self._patience, _POLL, cancel_check=lambda: self._over)
        except Timeout as error:
            raise PersistenceError(
                f"Another process has locked {self._path} for {self._patience:.0f} s.",
                code="busy",
                hint="Interrupt or restart the kernel that hangs, then run the cell again.",
            ) from error
        self._lock = lock
        if self._over:
            self.release()

    def release(self) -> None:
        """Release the lock. May be called repeatedly, also while the lock is being acquired."""
        self._over = True
        lock, self._lock = self._lock, None  # it has to be freed in this thread too
        if lock is not None:
            lock.release()
        self.ended = True


@contextmanager
def _lock_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise _no_locks(path.parent) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            refuse_unless_private(path, os.lstat(path))
        if error.errno in _NO_LOCKS:
            raise _no_locks(path.parent) from error
        raise


def _no_locks(folder: Path) -> PersistenceError:
    return PersistenceError(
        f"The file system of {folder} has no file locks. Without locks, kernels would use the same"
        " refresh token twice.",
        code="no_locks",
        hint="Sign-ins are not stored; tokens stay in this kernel's memory.",
    )
