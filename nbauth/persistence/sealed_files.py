"""The sealed files of one key: a folder for each client, a file for each account in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from nbauth.core.errors import PersistenceError
from nbauth.persistence.locks import locked
from nbauth.persistence.private import read_file, write_file
from nbauth.persistence.protocol import Entry
from nbauth.persistence.seal import FORMAT, Newer, Seal, Unreadable, refuse_newer

_PATIENCE = 30.0  # seconds; a writer holds it for milliseconds, but eighty may come at once
_NAME = re.compile(r"[0-9a-f]{32}")


class SealedFiles:
    """All that one key opens.

    Args:
        home: the folder of all keys.
        seal: with the key.
        notices: gets a sentence for each file that is set aside or left alone.
    """

    def __init__(self, home: Path, seal: Seal, notices: list[str]) -> None:
        self.folder = home / seal.id
        self._seal = seal
        self._notices = notices
        self._left_alone: set[Path] = set()

    def client(self, issuer: str, client_id: str) -> Path:
        """The folder of a client."""
        return self.folder / self._seal.name(issuer, client_id)

    def path(self, entry: Entry) -> Path:
        """The file of an entry."""
        name = self._seal.name(entry.issuer, entry.client_id, entry.account)
        return self.client(entry.issuer, entry.client_id) / name

    def paths(self) -> Iterator[Path]:
        """The files of all entries there are."""
        for path in sorted(self.folder.glob("*/*")):
            if _NAME.fullmatch(path.name) and _NAME.fullmatch(path.parent.name):
                yield path

    def writing(self, folder: Path) -> contextlib.AbstractContextManager[None]:
        """The lock of a client's folder, which ``put`` needs and nobody holds for long."""
        return locked(folder / "lock", _PATIENCE)

    def put(self, path: Path, entry: Entry, data: bytes) -> None:
        """Write a file, but over none of a newer format. Raises ``OSError``."""
        with contextlib.suppress(FileNotFoundError):
            try:
                refuse_newer(read_file(path))
            except Newer:
                raise PersistenceError(
                    f"{path} was written by a newer nbauth, and is left as it is.",
                    code="newer_format",
                    hint="Update nbauth in this environment. Tokens stay in memory.",
                ) from None
        label = json.dumps([entry.issuer, entry.client_id, entry.account]).encode()
        write_file(path, self._seal.seal(_place(path), label + b"\n" + data))

    def read(self, path: Path) -> tuple[Entry, bytes] | None:
        """Whose it is, and what was put; ``None`` for no file, and for one that tells nothing.

        One that can't be opened is set aside under another name. Raises ``OSError``.
        """
        try:
            return self._unsealed(path)
        except FileNotFoundError:
            return None
        except Newer:
            if path not in self._left_alone:
                self._left_alone.add(path)
                self._notices.append(
                    f"A kept sign-in is of a newer nbauth (this one reads format {FORMAT}); it is"
                    f" left as it is: {path}"
                )
            return None
        except Unreadable:
            return self._set_aside(path)

    def remove(self, path: Path) -> bool:
        """Remove a file and what was left of it; whether there was any. Raises ``OSError``."""
        found = False
        for old in (path, path.with_suffix(".new"), path.with_suffix(".unreadable")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)
                found = True
        return found

    def _unsealed(self, path: Path) -> tuple[Entry, bytes]:
        text = self._seal.open(_place(path), read_file(path))
        label, _, data = text.partition(b"\n")
        return Entry(*json.loads(label)), data

    def _set_aside(self, path: Path) -> tuple[Entry, bytes] | None:
        with self.writing(path.parent):
            try:
                return self._unsealed(path)  # somebody has saved it anew meanwhile
            except (FileNotFoundError, Newer):
                return None
            except Unreadable:
                aside = path.with_suffix(".unreadable")
                os.replace(path, aside)
        self._notices.append(
            "A kept sign-in could not be read (damaged, or not of this user and account): it was"
            f" set aside as {aside}, and you sign in anew."
        )
        return None


def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
