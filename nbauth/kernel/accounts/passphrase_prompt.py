"""Whether, and whom, an opening store may ask for its passphrase."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from nbauth.core.errors import PersistenceError
from nbauth.core.person import Person

Found = TypeVar("Found")


class Asking:
    """Asks the person, where one is there and the thread may.

    Args:
        person: who is asked.
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self._of_thread = threading.local()

    def only_if(self, allowed: bool, act: Callable[[], Found]) -> Found:
        """What this thread does meanwhile asks for no passphrase, unless that is allowed."""
        before = getattr(self._of_thread, "forbidden", False)
        try:
            self._of_thread.forbidden = before or not allowed
            return act()
        finally:
            self._of_thread.forbidden = before

    def ask(self, prompt: str) -> str:
        """What the person types. Raises ``PersistenceError`` where nobody may be asked."""
        if getattr(self._of_thread, "forbidden", False):
            raise PersistenceError(
                "Kept sign-ins need their passphrase, and this call may ask nobody.",
                code="not_asked",
                hint="Set NBAUTH_PASSPHRASE, or run %login first.",
            )
        if not self._person.attended():
            raise PersistenceError(
                "Kept sign-ins need their passphrase, and nobody can be asked for it here.",
                code="no_passphrase",
                hint="Set NBAUTH_PASSPHRASE.",
            )
        return self._person.ask(prompt)
