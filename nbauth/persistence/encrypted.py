"""Stored sign-ins as encrypted files.

The path is ``<folder>/<kind>/<key>/<client>/<account>``. The last three are keyed hashes, so they
reveal nothing. Files sealed with different keys are in different folders: if the keyring loses the
key and later has it again, the sign-ins sealed with it are found again.
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

from nbauth.persistence.locks import locked, refuse_without_locks
from nbauth.persistence.private import make_folder, persistence_errors
from nbauth.persistence.protocol import Entry
from nbauth.persistence.seal import Seal
from nbauth.persistence.sealed_files import SealedFiles, any_below
from nbauth.persistence.turn import Turn

_TO_OPEN = 3.5  # seconds
_TO_REFRESH = 60.0


class KeySource(Protocol):
    """Where the 32-byte key comes from. Errors are ``PersistenceError``, with a clear message."""

    kept: str

    def known(self, folder: Path, deadline: float, typed: str = "") -> bytes | None:
        """Return the existing key, or ``None``.

        Returns by ``deadline`` (monotonic clock), unless a person has to type a passphrase. Does
        not ask for the passphrase if it was just ``typed``.
        """

    def ask_new(self, folder: Path) -> str:
        """Ask for what ``create`` needs; ``""`` if nothing. Called while no lock is held."""

    def create(self, folder: Path, deadline: float, typed: str) -> bytes:
        """Create and store a key. Called if ``known`` gave ``None``, by one thread at a time."""

    def forget(self) -> None:
        """Remove the key."""


class EncryptedFolder:
    """See :class:`nbauth.persistence.protocol.Persistence`.

    Args:
        folder: created if missing, with a subfolder for this kind of key.
        source: where the key comes from.
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
            return any_below(self._home)
        except OSError:
            return True  # open() will report the error

    def open(self) -> None:
        self._files_to_write()

    def _files_to_write(self, gone: SealedFiles | None = None) -> SealedFiles:
        """Return the files for writing; not ``gone``, which were deleted together with their key.

        Creates a key if there is none.
        """
        while (files := self._files) is None or files is gone:
            self._turn.take(lambda: self._open(gone, creates=True), _TO_OPEN)
        return files

    def _files_to_read(self, *, waits: bool = True) -> SealedFiles | None:
        """Return the files for reading; ``None`` if nothing is stored or the key no longer exists.

        If the files were deleted with their key and stored again with a new key, the new key is
        fetched. With ``waits=False`` it raises ``PersistenceError`` if another thread is opening.
        """
        files = self._files
        if (files is None or not os.path.lexists(files.folder)) and self.exists():
            self._turn.take(lambda: self._open(files, creates=False), _TO_OPEN if waits else 0)
        return self._files

    def _open(self, gone: SealedFiles | None, *, creates: bool) -> None:
        if self._files is not gone:
            return
        with persistence_errors("keep sign-ins in", self._home):
            key = self._key(creates)
            if key is None:
                return
            files = SealedFiles(self._home, Seal(key), self.notices)
            make_folder(files.folder)
        self._files = files  # assigned last: readers use the old files until then

    def _key(self, creates: bool) -> bytes | None:
        deadline = time.monotonic() + _TO_OPEN
        key = self._source.known(self._home, deadline)
        if key is None and not creates:
            return None
        typed = "" if key else self._source.ask_new(self._home)
        if typed:
            deadline = time.monotonic() + _TO_OPEN
        make_folder(self._folder, denied=0o022)  # on macOS and Windows it also holds the settings
        make_folder(self._home)
        lock = self._home / "lock"
        if key:
            refuse_without_locks(lock)
            return key
        with locked(lock, max(deadline - time.monotonic(), 0)):
            return self._source.known(self._home, deadline, typed) or (
                self._source.create(self._home, deadline, typed)
            )

    def _files_reopened(self) -> SealedFiles:
        """Return the files; open them again if another process has deleted everything meanwhile."""
        files = self._files_to_write()
        return files if files.folder.exists() else self._files_to_write(gone=files)

    # ── one entry ───────────────────────────────────────────────────────────────────────────

    def load(self, entry: Entry) -> bytes | None:
        files = self._files_to_read()
        with self._accessing(entry):
            return None if files is None else files.data(entry)

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        files = self._files_to_read() if only_if_there else self._files_reopened()
        with self._accessing(entry) as changed:
            if files is not None and files.save(entry, data, only_if_there=only_if_there):
                changed.append(True)
        return any(changed)

    def clear(self, entry: Entry) -> None:
        files = self._files_to_read()
        with self._accessing(entry) as changed:
            if files is not None:
                changed.append(files.clear(entry))

    def stamp(self, entry: Entry) -> object | None:
        files = self._files_to_read(waits=False)
        return None if files is None else files.stamp(entry)

    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        files = self._files_to_read()
        path = None if files is None else files.path(entry)
        if path is not None and path.parent.exists():
            with locked(path.with_suffix(".refreshing"), _TO_REFRESH, explain=True):
                yield
        else:  # nothing is stored, so there is nothing to protect
            yield

    # ── all entries ─────────────────────────────────────────────────────────────────────────

    def entries(self) -> list[Entry]:
        files = self._files_to_read()
        return [] if files is None else files.entries()

    def current(self, issuer: str, client_id: str) -> Entry | None:
        files = self._files_to_read()
        return None if files is None else files.current(issuer, client_id)

    def use(self, entry: Entry) -> None:
        files = self._files_to_read()
        if files is not None and files.current(entry.issuer, entry.client_id) != entry:
            files.use(entry)

    def forget(self) -> None:
        try:
            self._source.forget()
        finally:
            self._files = None
            with persistence_errors("remove", self._home):
                _remove(self._home)
                with contextlib.suppress(OSError):  # another kind may be stored there too
                    os.rmdir(self._folder)

    @contextlib.contextmanager
    def _accessing(self, entry: Entry) -> Iterator[list[bool]]:
        """Call the hooks; append ``True`` to the yielded list if the entry has changed."""
        changed: list[bool] = []
        if self.before_access is not None:
            self.before_access(entry)
        try:
            yield changed
        finally:
            if self.after_access is not None:
                self.after_access(entry, any(changed))


def _remove(folder: Path) -> None:
    """Remove a folder and its content; retry while other processes still create files in it."""
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
