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

from nbauth.persistence.locks import locked, refuse_without_locks
from nbauth.persistence.private import make_folder, told_in_words
from nbauth.persistence.protocol import Entry
from nbauth.persistence.seal import Seal
from nbauth.persistence.sealed_files import SealedFiles, any_below
from nbauth.persistence.turn import Turn

_TO_OPEN = 3.5  # seconds
_TO_REFRESH = 60.0


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
            return any_below(self._home)
        except OSError:
            return True  # opening says what is wrong there

    def open(self) -> None:
        self._opened()

    def _opened(self, gone: SealedFiles | None = None) -> SealedFiles:
        """For who keeps: other files than ``gone``, which were forgotten together with their key.

        Makes a key where there is none.
        """
        while (files := self._files) is None or files is gone:
            self._turn.take(lambda: self._open(gone, creates=True), _TO_OPEN)
        return files

    def _there(self, *, waits: bool = True) -> SealedFiles | None:
        """For who looks: ``None`` where nothing is kept, or nothing by a key that there still is.

        What was forgotten together with its key may be kept again by a new one, which is got then.
        Without ``waits`` it raises ``PersistenceError`` if another thread is opening them.
        """
        files = self._files
        if (files is None or not os.path.lexists(files.folder)) and self.exists():
            self._turn.take(lambda: self._open(files, creates=False), _TO_OPEN if waits else 0)
        return self._files

    def _open(self, gone: SealedFiles | None, *, creates: bool) -> None:
        if self._files is not gone:
            return
        with told_in_words("keep sign-ins in", self._home):
            key = self._key(creates)
            if key is None:
                return
            files = SealedFiles(self._home, Seal(key), self.notices)
            make_folder(files.folder)
        self._files = files  # the old ones were in use till now, so nobody who looks had to wait

    def _key(self, creates: bool) -> bytes | None:
        deadline = time.monotonic() + _TO_OPEN
        key = self._source.known(self._home, deadline)
        if key is None and not creates:
            return None
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
        files = self._there()
        with self._accessing(entry):
            return None if files is None else files.data(entry)

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        files = self._there() if only_if_there else self._opened_anew()
        with self._accessing(entry) as changed:
            if files is not None and files.save(entry, data, only_if_there=only_if_there):
                changed.append(True)
        return any(changed)

    def clear(self, entry: Entry) -> None:
        files = self._there()
        with self._accessing(entry) as changed:
            if files is not None:
                changed.append(files.clear(entry))

    def stamp(self, entry: Entry) -> object | None:
        files = self._there(waits=False)
        return None if files is None else files.stamp(entry)

    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        files = self._there()
        path = None if files is None else files.path(entry)
        if path is not None and path.parent.exists():
            with locked(path.with_suffix(".refreshing"), _TO_REFRESH, told=True):
                yield
        else:  # nothing is kept, or all is forgotten: there is nothing to protect
            yield

    # ── all entries ─────────────────────────────────────────────────────────────────────────

    def entries(self) -> list[Entry]:
        files = self._there()
        return [] if files is None else files.entries()

    def current(self, issuer: str, client_id: str) -> Entry | None:
        files = self._there()
        return None if files is None else files.current(issuer, client_id)

    def use(self, entry: Entry) -> None:
        files = self._there()
        if files is not None and files.current(entry.issuer, entry.client_id) != entry:
            files.use(entry)

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
