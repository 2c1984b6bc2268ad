"""Locks between processes that the operating system frees when their holder dies."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbauth.core.errors import PersistenceError
from nbauth.persistence.private import refuse_unless_private

_POLL = 0.02  # seconds
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def locked(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock of a file, which is made with mode 0600 if need be and stays.

    Args:
        path: the file.
        patience: seconds to wait for whoever holds it.

    Raises ``PersistenceError`` after that, for a link, and where the file system has no locks;
    ``OSError`` for what else opening a file may bring.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    if issubclass(FileLock, SoftFileLock):  # where Python has no fcntl; it outlives a holder
        raise _no_locks(path.parent)
    lock = FileLock(path, timeout=patience, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(poll_interval=_POLL)
    except Timeout as error:
        raise PersistenceError(
            f"Another kernel has held {path} for {patience:.0f} s.",
            code="busy",
            hint="Interrupt or restart the kernel that is stuck, then run the cell again.",
        ) from error
    except NotImplementedError as error:
        raise _no_locks(path.parent) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            refuse_unless_private(path, os.lstat(path))
        if error.errno in _NO_LOCKS:
            raise _no_locks(path.parent) from error
        raise
    try:
        yield
    finally:
        lock.release()


def _no_locks(folder: Path) -> PersistenceError:
    return PersistenceError(
        f"The file system of {folder} has no file locks, without which kernels would use up each"
        " other's refresh tokens.",
        code="no_locks",
        hint="Tokens stay in this kernel's memory.",
    )
