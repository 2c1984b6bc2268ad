"""Decides whether opening a store may ask the person for its passphrase."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from nbauth.core.errors import PersistenceError
from nbauth.core.person import Person

Found = TypeVar("Found")


class PassphrasePrompt:
    """Asks the person, if somebody is there and the current thread may ask.

    Args:
        person: asks.
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self._of_thread = threading.local()

    def only_if(self, allowed: bool, act: Callable[[], Found]) -> Found:
        """Call ``act``; unless ``allowed``, a passphrase needed in it raises instead of asking."""
        before = getattr(self._of_thread, "forbidden", False)
        try:
            self._of_thread.forbidden = before or not allowed
            return act()
        finally:
            self._of_thread.forbidden = before

    def ask(self, prompt: str) -> str:
        """Return what the person types. Raises ``PersistenceError`` if asking is not possible."""
        if getattr(self._of_thread, "forbidden", False):
            raise PersistenceError(
                "The stored sign-ins need a passphrase, and this call must not ask for it.",
                code="not_asked",
                hint="Set NBAUTH_PASSPHRASE, or run %login first.",
            )
        if not self._person.attended():
            raise PersistenceError(
                "The stored sign-ins need a passphrase, and nobody can be asked for it here.",
                code="no_passphrase",
                hint="Set NBAUTH_PASSPHRASE.",
            )
        return self._person.ask(prompt)
