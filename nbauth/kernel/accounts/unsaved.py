"""Schedules new attempts to store accounts that could not be stored."""

from __future__ import annotations

import time

from nbauth.core.account import AccountKey

FIRST_SAVE_AGAIN, LAST_SAVE_AGAIN = 0.5, 30.0
"""Seconds until the next attempt: doubled each time, from the first value to the last."""


class Unsaved:
    """The accounts still to be stored, and when each is tried again."""

    def __init__(self) -> None:
        self._waits: dict[AccountKey, _Wait] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def note(self, key: AccountKey) -> None:
        """The account still has to be stored."""
        self._waits.setdefault(key, _Wait())

    def done(self, key: AccountKey) -> None:
        """The account is stored, or does not have to be any more."""
        self._waits.pop(key, None)

    def due(self) -> list[AccountKey]:
        """Accounts to try now; the time of their next attempt is moved on."""
        return [key for key, wait in list(self._waits.items()) if wait.over()]


class _Wait:
    def __init__(self) -> None:
        self._pause = FIRST_SAVE_AGAIN
        self._due = time.monotonic() + self._pause

    def over(self) -> bool:
        if time.monotonic() < self._due:
            return False
        self._pause = min(2 * self._pause, LAST_SAVE_AGAIN)
        self._due = time.monotonic() + self._pause
        return True
