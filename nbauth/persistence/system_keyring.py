"""The key in the system keyring: one entry of 44 characters.

Windows limits a credential to 1,280 characters, so the sign-ins themselves can't be stored there.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nbauth.core.errors import PersistenceError
from nbauth.core.interrupts import Flag, join
from nbauth.persistence.keyring_after_fork import backends
from nbauth.persistence.keyring_backend import as_persistence_error
from nbauth.persistence.seal import KEY_SIZE

SERVICE = "nbauth"
USERNAME = "sign-ins"
_PATIENCE = 3.0  # seconds, to remove the key
_PATIENCE_TO_READ = 10.0  # seconds, for an entry of the user
_AFTER_INTERRUPT = 1.0  # seconds

T = TypeVar("T")


class KeyringKey:
    """A random key of 256 bits; see :class:`nbauth.persistence.encrypted.KeySource`."""

    kept = "keyring"

    def known(self, folder: Path, deadline: float, typed: str = "") -> bytes | None:
        text = _with_deadline(lambda _: backends().get(SERVICE, USERNAME), deadline)
        if text is None:
            return None
        try:
            key = base64.urlsafe_b64decode(text)
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:
            raise PersistenceError(
                f"The entry {SERVICE!r} in the system keyring is not a key of nbauth.",
                code="strange_key",
                hint="If nothing else uses that entry, remove it, then run %login again.",
            )
        return key

    def ask_new(self, folder: Path) -> str:
        return ""

    def create(self, folder: Path, deadline: float, typed: str) -> bytes:
        key = os.urandom(KEY_SIZE)
        text = base64.urlsafe_b64encode(key).decode()

        def put(left: Flag) -> str | None:
            keyring = backends()
            if left.is_set():  # too late: another process may be storing its key
                return None
            keyring.set(SERVICE, USERNAME, text)
            return keyring.get(SERVICE, USERNAME)

        if _with_deadline(put, deadline) != text:
            raise PersistenceError(
                "The system keyring did not store nbauth's key.",
                code="no_keyring",
            )
        return key

    def forget(self) -> None:
        try:
            _with_deadline(
                lambda _: backends().delete(SERVICE, USERNAME), time.monotonic() + _PATIENCE
            )
        except PersistenceError as error:
            if error.code not in {"no_keyring", "plain_keyring"}:  # it never had the key
                raise


def entry(service: str, username: str) -> str | None:
    """Read an entry that is not nbauth's own, such as a client secret."""
    return _with_deadline(
        lambda _: backends().get(service, username), time.monotonic() + _PATIENCE_TO_READ
    )


def _with_deadline(call: Callable[[Flag], T], deadline: float) -> T:
    """Run ``call`` in a new thread and return its result; abandon the thread at ``deadline``.

    ``call`` gets a flag that is set when its thread is abandoned. After an interrupt it waits up to
    1 s for the thread, so that no key is stored after the lock around this call was released.
    """
    results: list[T] = []
    errors: list[Exception] = []
    left = Flag()

    def run() -> None:
        try:
            results.append(call(left))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="nbauth-keyring", daemon=True)
    try:
        thread.start()
        join(thread, max(0.0, deadline - time.monotonic()))
    except BaseException:
        left.set()
        if thread.ident is not None:
            join(thread, _AFTER_INTERRUPT)
        raise
    left.set()
    if errors:
        raise as_persistence_error(errors[0]) from errors[0]
    if not results:
        raise PersistenceError(
            "The system keyring does not respond; it may be asking for its password.",
            code="keyring_hangs",
            hint="Unlock the keyring, then run %login again. Until then, tokens stay in memory.",
        )
    return results[0]
