"""Which of keyring's backends may hold the key: none that keeps it in the open, or not at all."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator
from typing import Any

from nbauth.core.errors import PersistenceError
from nbauth.core.forks import no_fork
from nbauth.persistence.keyring_choice import OVERRIDE, Choice, chosen

_INSTEAD = "Tokens stay in this kernel's memory; --persist file keeps them with a passphrase."

_LOCKED = {"KeyringLocked", "LockedException", "PromptDismissedException"}


class Backends:
    """keyring's backend, or those that it chains, in their order.

    Raises ``PersistenceError`` for one that would not keep a secret; may ask the system's bus, and
    so may take long.
    """

    def __init__(self) -> None:
        with no_fork():
            self._backends = [_for_this_machine(backend) for backend in _links(_chosen())]
            if "secretstorage" in sys.modules:  # it loads this when it first decrypts
                from cryptography.hazmat.backends import default_backend

                default_backend()

    def get(self, service: str, username: str) -> str | None:
        """The first that has it gives it."""
        found = (backend.get_password(service, username) for backend in self._backends)
        return next((password for password in found if password is not None), None)

    def set(self, service: str, username: str, password: str) -> None:
        """The first that stores anything takes it (a package index's backend does not)."""
        for backend in self._backends:
            try:
                backend.set_password(service, username, password)
            except NotImplementedError:
                continue
            return
        raise _refusal("no backend of it can store secrets", "no_keyring")

    def delete(self, service: str, username: str) -> None:
        """All that have it lose it."""
        for backend in self._backends:
            if backend.get_password(service, username) is not None:
                backend.delete_password(service, username)


def _chosen() -> Choice:
    try:
        choice = chosen()
        fault = _fault(choice)
    except Exception as error:
        if named := os.environ.get(OVERRIDE):
            raise PersistenceError(
                f"{OVERRIDE} names {named!r}, which cannot be used here"
                f" ({type(error).__name__}: {error}).",
                code="no_keyring",
                hint=f"Remove that variable, or correct it. {_INSTEAD}",
            ) from error
        raise
    if fault is not None:
        raise _refusal(*fault)
    return choice


def _links(choice: Choice) -> Iterator[Any]:
    if choice.links is None:
        yield choice.backend
    for link in choice.links or ():
        yield from _links(link)


def _fault(choice: Choice) -> tuple[str, str] | None:
    """Why a secret is not safe with a backend, and the error's code; ``None`` if it is."""
    from keyring.backends import fail, null

    backend = choice.backend
    name = f"{type(backend).__module__}.{type(backend).__qualname__}"
    if isinstance(backend, fail.Keyring):
        return "there is none on this system, or it does not run", "no_keyring"
    if isinstance(backend, null.Keyring):
        return f"{name} accepts everything and keeps nothing", "no_keyring"
    if name.startswith("keyrings.alt.") or "plaintext" in name.lower():
        return f"{name} may keep secrets where others can read them", "plain_keyring"
    for link in choice.links or ():
        if fault := _fault(link):
            return f"{name} chains a part that is not safe: {fault[0]}", fault[1]
    if choice.priority < 1:
        return f"{name} is not recommended by its own makers", "plain_keyring"
    return None


def _refusal(fault: str, code: str) -> PersistenceError:
    named = os.environ.get(OVERRIDE)
    chosen = f" ({OVERRIDE} chooses it)" if named else ""
    return PersistenceError(
        f"The system's keyring cannot be used: {fault}{chosen}.", code=code, hint=_INSTEAD
    )


def _for_this_machine(backend: Any) -> Any:
    """Windows' credentials roam to a user's other machines unless told not to."""
    if not hasattr(type(backend), "persist"):
        return backend
    backend = copy.copy(backend)  # others in this process may use the original
    backend.persist = "local machine"
    return backend


def in_words(error: Exception) -> PersistenceError:
    """What a person reads of what a backend raised."""
    if isinstance(error, PersistenceError):
        return error
    name = type(error).__name__
    if name in _LOCKED:
        return PersistenceError(
            "The system's keyring is locked.",
            code="keyring_locked",
            hint="Unlock the keyring, then run %login again. Till then tokens stay in memory.",
        )
    # A session bus that has gone shows as a bare FileNotFoundError or ConnectionError.
    return PersistenceError(
        f"The system's keyring does not work ({name}).",
        code="keyring_dead",
        hint="Tokens stay in this kernel's memory; --persist file keeps them with a passphrase.",
    )
