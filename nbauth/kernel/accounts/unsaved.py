"""What could not be written yet to where it is kept."""

from __future__ import annotations

import time

from nbauth.core.account import AccountKey

FIRST_SAVE_AGAIN, LAST_SAVE_AGAIN = 0.5, 30.0
"""Seconds after which what could not be written is tried once more: doubled each time."""


class Unsaved:
    """The accounts that could not be written, and when each is tried again."""

    def __init__(self) -> None:
        self._waits: dict[AccountKey, _Wait] = {}

    def __contains__(self, key: AccountKey) -> bool:
        return key in self._waits

    def __bool__(self) -> bool:
        return bool(self._waits)

    def note(self, key: AccountKey, only_if_there: bool) -> None:
        """It is still to be written; a sign-in (without ``only_if_there``) stays one."""
        wait = self._waits.setdefault(key, _Wait())
        wait.only_if_there = wait.only_if_there and only_if_there

    def done(self, key: AccountKey) -> None:
        """It is written, or nobody wants it to be."""
        self._waits.pop(key, None)

    def due(self) -> list[tuple[AccountKey, bool]]:
        """Those that are tried now, each with its ``only_if_there``; their next time is later."""
        return [(key, wait.only_if_there) for key, wait in list(self._waits.items()) if wait.over()]


class _Wait:
    def __init__(self) -> None:
        self.only_if_there = True
        self._pause = FIRST_SAVE_AGAIN
        self._due = time.monotonic() + self._pause

    def over(self) -> bool:
        if time.monotonic() < self._due:
            return False
        self._pause = min(2 * self._pause, LAST_SAVE_AGAIN)
        self._due = time.monotonic() + self._pause
        return True
