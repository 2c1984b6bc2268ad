"""The key in the system's keyring: 44 characters in one entry, whatever is kept.

Windows' credentials hold 1,280 characters, so what is kept itself could not lie there.
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
from nbauth.persistence.keyring_backend import in_words
from nbauth.persistence.seal import KEY_SIZE

SERVICE = "nbauth"
USERNAME = "sign-ins"
_PATIENCE = 3.0  # seconds to remove it
_PATIENCE_TO_READ = 10.0  # seconds, for an entry of somebody's own
_AFTER_INTERRUPT = 1.0  # seconds

T = TypeVar("T")


class KeyringKey:
    """A random key of 256 bits; see :class:`nbauth.persistence.encrypted.KeySource`."""

    kept = "keyring"

    def known(self, folder: Path, deadline: float, typed: str = "") -> bytes | None:
        text = _in_time(lambda _: backends().get(SERVICE, USERNAME), deadline)
        if text is None:
            return None
        try:
            key = base64.urlsafe_b64decode(text)
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:
            raise PersistenceError(
                f"The entry {SERVICE!r} in the system's keyring is no key of kept sign-ins.",
                code="strange_key",
                hint=f"Remove the entry {SERVICE!r} there, if nothing else needs it.",
            )
        return key

    def ask_new(self, folder: Path) -> str:
        return ""

    def create(self, folder: Path, deadline: float, typed: str) -> bytes:
        key = os.urandom(KEY_SIZE)
        text = base64.urlsafe_b64encode(key).decode()

        def put(left: Flag) -> str | None:
            keyring = backends()
            if left.is_set():  # somebody else may be putting theirs
                return None
            keyring.set(SERVICE, USERNAME, text)
            return keyring.get(SERVICE, USERNAME)

        if _in_time(put, deadline) != text:
            raise PersistenceError(
                "The system's keyring took the key of kept sign-ins and did not keep it.",
                code="no_keyring",
            )
        return key

    def forget(self) -> None:
        try:
            _in_time(lambda _: backends().delete(SERVICE, USERNAME), time.monotonic() + _PATIENCE)
        except PersistenceError as error:
            if error.code not in {"no_keyring", "plain_keyring"}:  # never held one
                raise


def entry(service: str, username: str) -> str | None:
    """An entry that is not ours, such as a client's secret."""
    return _in_time(
        lambda _: backends().get(service, username), time.monotonic() + _PATIENCE_TO_READ
    )


def _in_time(call: Callable[[Flag], T], deadline: float) -> T:
    """Its result, from a thread of its own, which is left behind if it hangs.

    ``call`` gets an event that tells it so. An interrupt waits for it a little, so that no key is
    put into the keyring after the lock that stands for it was released.
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
        raise in_words(errors[0]) from errors[0]
    if not results:
        raise PersistenceError(
            "The system's keyring does not answer; it may be asking for its password.",
            code="keyring_hangs",
            hint="Unlock the keyring, then run %login again. Till then tokens stay in memory.",
        )
    return results[0]
