"""The encrypted files of one key: a folder for each client, in it a file for each account."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from nbauth.core.errors import PersistenceError
from nbauth.persistence.locks import locked
from nbauth.persistence.private import make_folder, persistence_errors, read_file, write_file
from nbauth.persistence.protocol import Entry
from nbauth.persistence.seal import FORMAT, Newer, Seal, Unreadable, refuse_newer

_PATIENCE = 30.0  # seconds; one write takes milliseconds, but many may come at the same time
_CURRENT = "current"
_NAME = re.compile(r"[0-9a-f]{32}")


def any_below(home: Path) -> bool:
    """Whether a file of any key exists. Needs no key. Raises ``OSError``."""
    return any(
        _NAME.fullmatch(file)
        for key in _names(home)
        for client in _names(home / key)
        if _NAME.fullmatch(client)
        for file in _names(home / key / client)
    )


def _names(folder: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        yield from (item.name for item in found)


class SealedFiles:
    """The files of one key.

    Args:
        home: the folder that holds the folders of all keys.
        seal: has the key.
        notices: gets a sentence for each file that can't be read.
    """

    def __init__(self, home: Path, seal: Seal, notices: list[str]) -> None:
        self.folder = home / seal.id
        self._seal = seal
        self._notices = notices
        self._newer_files: set[Path] = set()

    # ── one entry: all methods raise ``PersistenceError`` ───────────────────────────────────

    def path(self, entry: Entry) -> Path:
        """The file of an entry."""
        name = self._seal.name(entry.issuer, entry.client_id, entry.account)
        return self._client(entry.issuer, entry.client_id) / name

    def data(self, entry: Entry) -> bytes | None:
        """Return what was saved."""
        path = self.path(entry)
        with persistence_errors("read", path):
            found = self.read(path)
        return found[1] if found and found[0] == entry else None

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool) -> bool:
        """Replace the entry's data; return whether it was written."""
        path = self.path(entry)
        with persistence_errors("write", path):
            if not only_if_there:
                make_folder(path.parent)
            elif not os.path.lexists(path):
                return False
            try:
                with self.writing(path.parent):
                    if only_if_there and not os.path.lexists(path):
                        return False
                    self.put(path, entry, data)
            except FileNotFoundError:
                if only_if_there and not path.parent.exists():
                    return False
                raise
        return True

    def clear(self, entry: Entry) -> bool:
        """Remove the entry; return whether it existed."""
        path = self.path(entry)
        with persistence_errors("remove", path):
            if not path.parent.exists():
                return False
            with self.writing(path.parent):
                return self.remove(path)

    def stamp(self, entry: Entry) -> object | None:
        """A value that differs after every save."""
        path = self.path(entry)
        with persistence_errors("look at", path):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    # ── all entries ─────────────────────────────────────────────────────────────────────────

    def entries(self) -> list[Entry]:
        """All entries. For a file that can't be read, a notice is added."""
        found: list[Entry] = []
        for path in sorted(self.folder.glob("*/*")):
            if not (_NAME.fullmatch(path.name) and _NAME.fullmatch(path.parent.name)):
                continue
            try:
                with persistence_errors("read", path):
                    kept = self.read(path)
            except PersistenceError as error:  # go on with the other files
                self._notices.append(f"{error} {error.hint}")
                continue
            if kept:
                found.append(kept[0])
        return found

    def current(self, issuer: str, client_id: str) -> Entry | None:
        """The current account of a client, if still stored."""
        path = self._client(issuer, client_id) / _CURRENT
        with persistence_errors("read", path):
            kept = self.read(path)
        return kept[0] if kept and os.path.lexists(self.path(kept[0])) else None

    def use(self, entry: Entry) -> None:
        """Make it the current account, if it is stored."""
        path = self.path(entry)
        if os.path.lexists(path):
            with persistence_errors("write", path.parent), self.writing(path.parent):
                self.put(path.parent / _CURRENT, entry, b"")

    # ── one file ────────────────────────────────────────────────────────────────────────────

    def writing(self, folder: Path) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of a client's folder, needed for ``put``; it is held only briefly."""
        return locked(folder / "lock", _PATIENCE)

    def put(self, path: Path, entry: Entry, data: bytes) -> None:
        """Write a file, unless a newer format is there. Raises ``OSError``."""
        with contextlib.suppress(FileNotFoundError):
            try:
                refuse_newer(read_file(path))
            except Newer:
                raise PersistenceError(
                    f"{path} was written by a newer version of nbauth and was not changed.",
                    code="newer_format",
                    hint="Update nbauth in this environment. Tokens stay in memory.",
                ) from None
        label = json.dumps([entry.issuer, entry.client_id, entry.account]).encode()
        write_file(path, self._seal.seal(_place(path), label + b"\n" + data))

    def read(self, path: Path) -> tuple[Entry, bytes] | None:
        """Return the entry and its data; ``None`` if there is no file or it can't be read.

        A file that can't be decrypted is renamed. Raises ``OSError``.
        """
        try:
            return self._unsealed(path)
        except FileNotFoundError:
            return None
        except Newer:
            if path not in self._newer_files:
                self._newer_files.add(path)
                self._notices.append(
                    f"A stored sign-in was written by a newer version of nbauth (this one reads"
                    f" format {FORMAT}) and was not changed: {path}"
                )
            return None
        except Unreadable:
            return self._set_aside(path)

    def remove(self, path: Path) -> bool:
        """Remove a file and its leftovers; return whether any existed. Raises ``OSError``."""
        found = False
        for old in (path, path.with_suffix(".new"), path.with_suffix(".unreadable")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)
                found = True
        return found

    def _client(self, issuer: str, client_id: str) -> Path:
        return self.folder / self._seal.name(issuer, client_id)

    def _unsealed(self, path: Path) -> tuple[Entry, bytes]:
        text = self._seal.open(_place(path), read_file(path))
        label, _, data = text.partition(b"\n")
        return Entry(*json.loads(label)), data

    def _set_aside(self, path: Path) -> tuple[Entry, bytes] | None:
        with self.writing(path.parent):
            try:
                return self._unsealed(path)  # it was saved again meanwhile
            except (FileNotFoundError, Newer):
                return None
            except Unreadable:
                aside = path.with_suffix(".unreadable")
                os.replace(path, aside)
        self._notices.append(
            "A stored sign-in could not be decrypted (it is damaged, or belongs to another user or"
            f" account). Its file was renamed to {aside}. Sign in again: %login"
        )
        return None


def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
