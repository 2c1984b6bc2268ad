"""Stored sign-ins whose key needs neither a keyring nor time, for tests of the files alone."""

from __future__ import annotations

from pathlib import Path

from nbauth.persistence import Entry
from nbauth.persistence.encrypted import EncryptedFolder


class FixedKey:
    """See :class:`nbauth.persistence.encrypted.KeySource`."""

    kept = "fixed"

    def __init__(self, key: bytes = b"k" * 32) -> None:
        self.key = key

    def known(self, folder: Path, deadline: float, typed: str = "") -> bytes | None:
        return self.key

    def ask_new(self, folder: Path) -> str:
        return ""

    def create(self, folder: Path, deadline: float, typed: str) -> bytes:
        raise AssertionError("it is known")

    def forget(self) -> None:
        pass


class Stored(EncryptedFolder):
    """A folder as one kernel sees it."""

    def __init__(self, folder: Path, key: bytes = b"k" * 32) -> None:
        super().__init__(folder, FixedKey(key))

    def file(self, entry: Entry) -> Path:
        """The file of an entry."""
        return self._files_to_write().path(entry)
