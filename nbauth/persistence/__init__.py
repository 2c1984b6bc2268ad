"""Sign-ins that outlive their kernel: one encrypted file each, its key kept elsewhere.

``persistence_named`` makes one, ``kinds_in_use`` finds those that keep somebody.
:mod:`nbauth.persistence.protocol` says what each has to do. Nothing here is loaded, opened or made
before somebody asks for it.
"""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

from nbauth.core.errors import ConfigurationError
from nbauth.persistence.protocol import Ask, Entry, Persistence

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "Ask", "Entry", "Persistence", "entry_of_keyring", "kinds_in_use", "persistence_named",
]  # fmt: skip

OURS = ("keyring", "file")


def persistence_named(
    kind: str, *, folder: Path | None = None, ask: Ask | None = None
) -> Persistence:
    """The persistence of a kind: ``"keyring"``, ``"file"``, or one that a package brings.

    Opens nothing yet.

    Args:
        kind: the word.
        folder: where files go; by default the user's data folder for ``nbauth``.
        ask: gets a prompt, gives a passphrase, where ``NBAUTH_PASSPHRASE`` isn't set.

    Raises ``ConfigurationError`` for a kind that there isn't. Where no home folder is known,
    opening it raises ``PersistenceError``.
    """
    if folder is None:
        from nbauth.core.folders import data_folder

        known = data_folder()
        if known is None:
            from nbauth.persistence.no_home import NoHome
            from nbauth.persistence.passphrase import PassphraseKey

            return NoHome(PassphraseKey(ask))
        folder = Path(known)
    if kind == "keyring":
        from nbauth.persistence.encrypted import EncryptedFolder
        from nbauth.persistence.system_keyring import KeyringKey

        return EncryptedFolder(folder, KeyringKey())
    if kind == "file":
        from nbauth.persistence.encrypted import EncryptedFolder
        from nbauth.persistence.passphrase import PassphraseKey

        return EncryptedFolder(folder, PassphraseKey(ask))
    return _plugged_in(kind, folder, ask)


def entry_of_keyring(service: str, username: str) -> str | None:
    """What somebody has put into the system's keyring; ``None`` if it has no such entry.

    Raises ``PersistenceError`` where there is no keyring, or it is locked or does not answer.
    """
    from nbauth.persistence.system_keyring import entry

    return entry(service, username)


def kinds_in_use(*, folder: Path | None = None) -> list[str]:
    """The kinds that keep somebody's sign-in, whatever is set: for who signs out.

    Asks nobody and makes nothing. A package's persistence that cannot be used is passed over.
    """
    found: list[str] = []
    for kind in (*OURS, *sorted(_points())):
        try:
            if persistence_named(kind, folder=folder).exists():
                found.append(kind)
        except Exception as error:
            getLogger("nbauth.persistence").debug("%s is passed over: %r", kind, error)
    return found


def _points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    from nbauth.core.settings_values import PERSISTENCE_GROUP

    return {point.name: point for point in entry_points(group=PERSISTENCE_GROUP)}


def _plugged_in(kind: str, folder: Path, ask: Ask | None) -> Persistence:
    found = _points()
    if kind not in found:
        known = ", ".join(dict.fromkeys(["memory", *OURS, *sorted(found)]))
        raise ConfigurationError(
            f"There is no persistence {kind!r} that keeps sign-ins; there are: {known}.",
            code="unknown_persistence",
        )
    try:
        persistence: Persistence = found[kind].load()(folder=folder, ask=ask)
    except Exception as error:
        raise ConfigurationError(
            f"The persistence {kind!r} ({found[kind].value}) cannot be loaded: {error}.",
            code="broken_persistence",
            hint="Update or remove the package that brings it.",
        ) from error
    return persistence
