"""Kept sign-ins as encrypted files, whatever their key comes from.

``<folder>/<kind>/<key>/<client>/<account>``, all after the kind being keyed hashes, so that they
tell nothing, and nothing depends on how many there are. A folder of the key's own keeps apart what
another key sealed: a keyring that lost its key and finds it again finds its sign-ins too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from nbauth.core.errors import PersistenceError
from nbauth.persistence.locks import locked, refuse_without_locks
from nbauth.persistence.private import make_folder, told_in_words
from nbauth.persistence.protocol import Entry
from nbauth.persistence.seal import Seal
from nbauth.persistence.sealed_files import SealedFiles
from nbauth.persistence.turn import Turn

_TO_OPEN = 3.5  # seconds
_TO_REFRESH = 60.0
_CURRENT = "current"


class KeySource(Protocol):
    """Where a key of 32 bytes comes from; raises ``PersistenceError`` in words."""

    kept: str

    def known(self, folder: Path, deadline: float, typed: str = "") -> bytes | None:
        """The key that there is, by ``deadline`` (of the monotonic clock) unless a person types.

        May ask for the passphrase of a key that there is, unless it was ``typed`` just now.
        """

    def ask_new(self, folder: Path) -> str:
        """What ``create`` needs of the person; ``""`` if nothing. Called while no lock is held."""

    def create(self, folder: Path, deadline: float, typed: str) -> bytes:
        """A new key, kept from now on. Called after ``known`` gave ``None``, by one at a time."""

    def forget(self) -> None:
        """Remove the key."""


class EncryptedFolder:
    """See :class:`nbauth.persistence.protocol.Persistence`.

    Args:
        folder: made if need be, with a folder in it for this kind of key.
        source: of the key.
    """

    def __init__(self, folder: Path, source: KeySource) -> None:
        self.kept = source.kept
        self.before_access: Callable[[Entry], None] | None = None
        self.after_access: Callable[[Entry, bool], None] | None = None
        self.notices: list[str] = []
        self._folder = folder
        self._home = folder / source.kept
        self._source = source
        self._files: SealedFiles | None = None
        self._turn = Turn()

    # ── the key ─────────────────────────────────────────────────────────────────────────────

    def exists(self) -> bool:
        try:
            with os.scandir(self._home) as found:
                return any(item.is_dir() for item in found)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # opening says what is wrong there

    def open(self) -> None:
        self._opened()

    def _opened(self, *, waits: bool = True, gone: SealedFiles | None = None) -> SealedFiles:
        """Other files than ``gone``, which somebody has forgotten together with their key."""
        while (files := self._files) is None or files is gone:
            self._turn.take(lambda: self._open(gone), _TO_OPEN if waits else 0)
        return files

    def _open(self, gone: SealedFiles | None) -> None:
        if self._files is not gone:
            return
        with told_in_words("keep sign-ins in", self._home):
            files = SealedFiles(self._home, Seal(self._key()), self.notices)
            make_folder(files.folder)
        self._files = files  # the old ones were in use till now, so nobody who looks had to wait

    def _key(self) -> bytes:
        deadline = time.monotonic() + _TO_OPEN
        key = self._source.known(self._home, deadline)
        typed = "" if key else self._source.ask_new(self._home)
        if typed:
            deadline = time.monotonic() + _TO_OPEN
        make_folder(self._folder, denied=0o022)  # macOS and Windows have the settings there too
        make_folder(self._home)
        lock = self._home / "lock"
        if key:
            refuse_without_locks(lock)
            return key
        with locked(lock, max(deadline - time.monotonic(), 0)):
            return self._source.known(self._home, deadline, typed) or (
                self._source.create(self._home, deadline, typed)
            )

    def _opened_anew(self) -> SealedFiles:
        """Once more with the key, if somebody else has forgotten everything meanwhile."""
        files = self._opened()
        return files if files.folder.exists() else self._opened(gone=files)

    # ── one entry ───────────────────────────────────────────────────────────────────────────

    def load(self, entry: Entry) -> bytes | None:
        files = self._opened()
        path = files.path(entry)
        with self._accessing(entry), told_in_words("read", path):
            found = files.read(path)
            return found[1] if found and found[0] == entry else None

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        files = self._opened() if only_if_there else self._opened_anew()
        path = files.path(entry)
        with self._accessing(entry) as changed, told_in_words("write", path):
            if not only_if_there:
                make_folder(path.parent)
            elif not os.path.lexists(path):
                return False
            try:
                with files.writing(path.parent):
                    if only_if_there and not os.path.lexists(path):
                        return False
                    files.put(path, entry, data)
            except FileNotFoundError:
                if only_if_there and not path.parent.exists():
                    return False
                raise
            changed.append(True)
        return True

    def clear(self, entry: Entry) -> None:
        files = self._opened()
        path = files.path(entry)
        with self._accessing(entry) as changed, told_in_words("remove", path):
            if path.parent.exists():
                with files.writing(path.parent):
                    changed.append(files.remove(path))

    def stamp(self, entry: Entry) -> object | None:
        path = self._opened(waits=False).path(entry)
        with told_in_words("look at", path):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return None
            return status.st_mtime_ns, status.st_ino, status.st_size

    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        path = self._opened().path(entry)
        if path.parent.exists():
            with locked(path.with_suffix(".refreshing"), _TO_REFRESH, told=True):
                yield
        else:  # all is forgotten, and there is nothing to protect
            yield

    # ── all entries ─────────────────────────────────────────────────────────────────────────

    def entries(self) -> list[Entry]:
        files = self._opened()
        found: list[Entry] = []
        for path in files.paths():
            try:
                with told_in_words("read", path):
                    kept = files.read(path)
            except PersistenceError as error:  # the others can be told still
                self.notices.append(f"{error} {error.hint}")
                continue
            if kept:
                found.append(kept[0])
        return found

    def current(self, issuer: str, client_id: str) -> Entry | None:
        files = self._opened()
        path = files.client(issuer, client_id) / _CURRENT
        with told_in_words("read", path):
            kept = files.read(path)
        return kept[0] if kept and os.path.lexists(files.path(kept[0])) else None

    def use(self, entry: Entry) -> None:
        if self.current(entry.issuer, entry.client_id) == entry:
            return
        files = self._opened()
        path = files.path(entry)
        if os.path.lexists(path):
            with told_in_words("write", path.parent), files.writing(path.parent):
                files.put(path.parent / _CURRENT, entry, b"")

    def forget(self) -> None:
        try:
            self._source.forget()
        finally:
            self._files = None
            with told_in_words("remove", self._home):
                _remove(self._home)
                with contextlib.suppress(OSError):  # another kind may be kept beside it
                    os.rmdir(self._folder)

    @contextlib.contextmanager
    def _accessing(self, entry: Entry) -> Iterator[list[bool]]:
        """Calls the hooks; what is yielded takes whether the entry has changed."""
        changed: list[bool] = []
        if self.before_access is not None:
            self.before_access(entry)
        try:
            yield changed
        finally:
            if self.after_access is not None:
                self.after_access(entry, any(changed))


def _remove(folder: Path) -> None:
    """A folder and all in it, in which others may be making files still."""
    for patience in reversed(range(20)):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if not os.path.lexists(folder):
                return
            if not patience or error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            return
