"""Persistence: stored sign-ins that outlive the kernel.

Each sign-in is one encrypted file; the key is kept elsewhere. ``persistence_named`` returns a
persistence of one kind, ``kinds_in_use`` lists the kinds that hold a stored sign-in.
:mod:`nbauth.persistence.protocol` defines what a persistence has to do. Back ends are imported and
opened on first use only.
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
    "Ask", "Entry", "Persistence", "keyring_entry", "kinds_in_use", "persistence_named",
]  # fmt: skip

OURS = ("keyring", "file")


def persistence_named(
    kind: str, *, folder: Path | None = None, ask: Ask | None = None
) -> Persistence:
    """Return the persistence of this kind: ``"keyring"``, ``"file"``, or one from a plug-in.

    Does not open it.

    Args:
        kind: the name of the kind.
        folder: where the files are; by default the user's data folder for ``nbauth``.
        ask: called with a prompt, returns the passphrase; used if ``NBAUTH_PASSPHRASE`` is not set.

    Raises ``ConfigurationError`` for an unknown kind. If the user has no home folder, opening the
    persistence raises ``PersistenceError``.
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


def keyring_entry(service: str, username: str) -> str | None:
    """Read an entry that the user has put into the system keyring; ``None`` if there is none.

    Raises ``PersistenceError`` if there is no keyring, or it is locked or does not respond.
    """
    from nbauth.persistence.system_keyring import entry

    return entry(service, username)


def kinds_in_use(*, folder: Path | None = None) -> list[str]:
    """Return the kinds that hold a stored sign-in, whatever the settings say; for sign-out.

    Never prompts and creates nothing. A plug-in that fails is skipped.
    """
    found: list[str] = []
    for kind in (*OURS, *sorted(_points())):
        try:
            if persistence_named(kind, folder=folder).exists():
                found.append(kind)
        except Exception as error:
            getLogger("nbauth.persistence").debug("%s is skipped: %r", kind, error)
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
            f"Unknown persistence {kind!r}. Available: {known}.",
            code="unknown_persistence",
        )
    try:
        persistence: Persistence = found[kind].load()(folder=folder, ask=ask)
    except Exception as error:
        raise ConfigurationError(
            f"The persistence {kind!r} ({found[kind].value}) cannot be loaded: {error}.",
            code="broken_persistence",
            hint="Update or remove the package that provides it.",
        ) from error
    return persistence
