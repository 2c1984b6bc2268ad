"""Locks between processes that the operating system frees when their holder dies.

filelock's lock on POSIX is ``flock``, which belongs to an open file. A forked child inherits the
open file; filelock closes it in the child at the fork, and a lock object releases only in the
process that made it. So the child neither holds the lock nor keeps it held.
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
from nbauth.persistence.private import refuse_unless_private, told_in_words

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL = 0.02  # seconds
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def locked(path: Path, patience: float, *, told: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which is made with mode 0600 if need be and stays.

    Args:
        path: the file.
        patience: seconds to wait for whoever holds it.
        told: turn each ``OSError`` of the lock, not of the body, into a ``PersistenceError``.

    Raises ``PersistenceError`` after that, for a link, and where the file system has no locks;
    ``OSError`` for what else opening a file may bring.
    """
    hold = _Hold(path, patience)
    # An interrupt in the inner ``finally`` leaves the outer one to let go.
    try:
        try:
            with told_in_words("lock", path) if told else nullcontext():
                apart(hold.take)
            yield
        finally:
            apart(hold.let_go)
    finally:
        if not hold.ended:
            apart(hold.let_go)


def refuse_without_locks(path: Path) -> None:
    """Raise ``PersistenceError`` where the file system has no locks; make the file if need be.

    It waits for nobody, and loads no library: ``locked`` says it too, but later.
    """
    if sys.platform == "win32":
        return
    try:
        import fcntl
    except ImportError:
        raise _no_locks(path.parent) from None
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with _in_words(path):
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o777 != 0o600:
                os.fchmod(descriptor, 0o600)  # the umask may have taken the owner's own bits
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked just now has the descriptor
        except BlockingIOError:
            pass  # somebody holds it, so there are locks
        finally:
            os.close(descriptor)


class _Hold:
    """A lock taken once and let go, in threads that no interrupt reaches.

    filelock keeps account of the whole process: what an interrupt leaves wrong there holds up each
    lock after it, and ends forked children.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._lock: BaseFileLock | None = None
        self._over = self.ended = False

    def take(self) -> None:
        """See ``locked``. Whoever waited may have been interrupted and have let go before this."""
        with no_fork():
            from filelock import FileLock, Timeout, has_fcntl

        # Where there is no flock, filelock's own lock would outlive a killed holder.
        if sys.platform != "win32" and not has_fcntl:
            raise _no_locks(self._path.parent)
        lock = FileLock(self._path, mode=0o600, thread_local=False, fallback_to_soft=False)
        try:
            with _in_words(self._path):
                lock.acquire(self._patience, _POLL, cancel_check=lambda: self._over)
        except Timeout as error:
            raise PersistenceError(
                f"Another kernel has held {self._path} for {self._patience:.0f} s.",
                code="busy",
                hint="Interrupt or restart the kernel that is stuck, then run the cell again.",
            ) from error
        self._lock = lock
        if self._over:
            self.let_go()

    def let_go(self) -> None:
        """Release the lock; as often as one likes, also while it is being taken."""
        self._over = True
        lock, self._lock = self._lock, None  # it has to die in this thread too
        if lock is not None:
            lock.release()
        self.ended = True


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
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
        f"The file system of {folder} has no file locks, without which kernels would use up each"
        " other's refresh tokens.",
        code="no_locks",
        hint="Tokens stay in this kernel's memory.",
    )
