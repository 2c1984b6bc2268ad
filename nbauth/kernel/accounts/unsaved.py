"""When what could not be written to where it is kept is tried again."""

from __future__ import annotations

import time

from nbauth.core.account import AccountKey

FIRST_SAVE_AGAIN, LAST_SAVE_AGAIN = 0.5, 30.0
"""Seconds after which what could not be written is tried once more: doubled each time."""


class Unsaved:
    """The accounts that are to be written, and when each is tried again."""

    def __init__(self) -> None:
        self._waits: dict[AccountKey, _Wait] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def note(self, key: AccountKey) -> None:
        """It is still to be written."""
        self._waits.setdefault(key, _Wait())

    def done(self, key: AccountKey) -> None:
        """It is written, or nobody wants it to be."""
        self._waits.pop(key, None)

    def due(self) -> list[AccountKey]:
        """Those that are tried now; their next time is later."""
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
