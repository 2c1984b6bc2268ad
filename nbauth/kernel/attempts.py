"""Sign-ins under way, and the last outcome of each: a second one for the same thing joins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbauth.kernel.sign_in import SignIn

AttemptKey = tuple[str, str, frozenset[str]]
"""authority address, client_id and the scopes asked for"""


class Attempts:
    """The newest attempt for each client and scopes."""

    def __init__(self) -> None:
        self._attempts: dict[AttemptKey, SignIn] = {}
        self._lock = threading.RLock()

    def join_or_make(
        self, key: AttemptKey, flow: str | None, make: Callable[[], SignIn]
    ) -> tuple[SignIn, bool]:
        """The attempt to use, and whether it was under way already.

        One by another ``flow`` is cancelled for the new one; ``None`` joins nothing.
        """
        with self._lock:
            known = self._attempts.get(key)
            if known is not None and known.state == "waiting":
                if flow in {"auto", known.flow}:
                    return known, True
                known.cancel()
            made = self._attempts[key] = make()
            return made, False

    def of(self, client: tuple[str, str]) -> list[SignIn]:
        """A client's newest attempts, however they ended."""
        with self._lock:
            return [attempt for key, attempt in self._attempts.items() if key[:2] == client]

    def waiting(self, client: tuple[str, str] | None = None) -> list[SignIn]:
        """The attempts under way, of one client or all."""
        with self._lock:
            known = list(self._attempts.values()) if client is None else self.of(client)
        return [attempt for attempt in known if attempt.state == "waiting"]

    def cancel(self) -> None:
        """End and forget them all."""
        for attempt in self.waiting():
            attempt.cancel()
        with self._lock:
            self._attempts.clear()
