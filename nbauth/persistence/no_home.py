"""The persistence for a user without a home folder, such as a numeric user in a container."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from nbauth.core.errors import PersistenceError
from nbauth.persistence.encrypted import EncryptedFolder, KeySource


class NoHome(EncryptedFolder):
    """Stores nothing: opening it raises ``PersistenceError``. ``folder`` is not used."""

    def __init__(self, source: KeySource) -> None:
        super().__init__(Path(), source)

    def exists(self) -> bool:
        return False

    def open(self) -> None:
        _no_home()

    def _open(self, gone: object = None, *, creates: bool) -> None:
        _no_home()

    def forget(self) -> None:
        """Does nothing: a key in the keyring belongs to another folder."""


def _no_home() -> NoReturn:
    raise PersistenceError(
        "Sign-ins can't be stored: HOME is not set and this user has no home folder.",
        code="no_home",
        hint="Set HOME or XDG_DATA_HOME to a folder of yours. Until then, tokens stay in memory.",
    )
