"""The keyring backends that may hold the key; those that store it unprotected are refused."""

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
    """keyring's backend, or the backends of its chain, in order.

    Raises ``PersistenceError`` for a backend that does not protect secrets. May contact the session
    bus, which can be slow.
    """

    def __init__(self) -> None:
        with no_fork():
            self._backends = [_for_this_machine(backend) for backend in _links(_chosen())]
            if "secretstorage" in sys.modules:  # it imports this on its first decryption
                from cryptography.hazmat.backends import default_backend

                default_backend()

    def get(self, service: str, username: str) -> str | None:
        """Return the password from the first backend that has it."""
        found = (backend.get_password(service, username) for backend in self._backends)
        return next((password for password in found if password is not None), None)

    def set(self, service: str, username: str, password: str) -> None:
        """Store it in the first backend that can store (a package index's backend cannot)."""
        for backend in self._backends:
            try:
                backend.set_password(service, username, password)
            except NotImplementedError:
                continue
            return
        raise _refusal("none of its backends can store secrets", "no_keyring")

    def delete(self, service: str, username: str) -> None:
        """Remove it from every backend."""
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
    """Why this backend must not hold a secret, and the error's code; ``None`` if it may."""
    from keyring.backends import fail, null

    backend = choice.backend
    name = f"{type(backend).__module__}.{type(backend).__qualname__}"
    if isinstance(backend, fail.Keyring):
        return "no keyring is installed on this system, or it is not running", "no_keyring"
    if isinstance(backend, null.Keyring):
        return f"{name} discards what it is given", "no_keyring"
    if name.startswith("keyrings.alt.") or "plaintext" in name.lower():
        return f"{name} may store secrets unencrypted", "plain_keyring"
    for link in choice.links or ():
        if fault := _fault(link):
            return f"{name} includes an unsafe backend: {fault[0]}", fault[1]
    if choice.priority < 1:
        return f"{name} is not recommended by its developers", "plain_keyring"
    return None


def _refusal(fault: str, code: str) -> PersistenceError:
    named = os.environ.get(OVERRIDE)
    chosen = f" (selected by {OVERRIDE})" if named else ""
    return PersistenceError(
        f"The system keyring cannot be used: {fault}{chosen}.", code=code, hint=_INSTEAD
    )


def _for_this_machine(backend: Any) -> Any:
    """Stop Windows from copying the credential to the user's other machines."""
    if not hasattr(type(backend), "persist"):
        return backend
    backend = copy.copy(backend)  # other code may use the original
    backend.persist = "local machine"
    return backend


def as_persistence_error(error: Exception) -> PersistenceError:
    """Turn a backend's exception into a ``PersistenceError`` with a readable message."""
    if isinstance(error, PersistenceError):
        return error
    name = type(error).__name__
    if name in _LOCKED:
        return PersistenceError(
            "The system keyring is locked.",
            code="keyring_locked",
            hint="Unlock the keyring, then run %login again. Until then, tokens stay in memory.",
        )
    # A session bus that has stopped raises a bare FileNotFoundError or ConnectionError.
    return PersistenceError(
        f"The system keyring failed ({name}).",
        code="keyring_dead",
        hint="Tokens stay in this kernel's memory; --persist file keeps them with a passphrase.",
    )
