"""Single flight: if several threads request the same thing, one of them fetches it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from nbauth.core.errors import PersistenceError
from nbauth.core.interrupts import Flag

Result = TypeVar("Result")

log = logging.getLogger(__name__)
LOOK_EVERY = 1.0
"""Seconds between checks by waiting threads whether the fetching thread is alive."""


def within_itself() -> PersistenceError:
    """The error for a thread that would wait for itself."""
    return PersistenceError(
        "Code that nbauth runs while it refreshes or stores an account requested a token of this"
        " account.",
        code="within_itself",
        hint="A hook of a store must not request a token of the account for which it is called.",
    )


class _Flight:
    """One fetch in progress. It has landed once it has a result or an error to share."""

    def __init__(self) -> None:
        self.ended = Flag()
        self._leader = threading.current_thread()
        self._landed = False
        self._result: Any = None
        self._error: Exception | None = None

    def take(self, fetch: Callable[[], Any]) -> None:
        """Fetch. An interrupt concerns this thread only, so it is not shared."""
        try:
            self._result = fetch()
        except Exception as error:
            self._error = error
        self._landed = True

    def landed(self) -> bool:
        """Wait for the end; return whether there is an outcome.

        Raises ``PersistenceError`` in the thread that fetches.
        """
        if self._leader is threading.current_thread() and not self.ended.is_set():
            raise within_itself()
        while not self.ended.wait(LOOK_EVERY) and self._leader.is_alive():
            pass
        return self._landed

    def outcome(self) -> Any:
        """Return the result or raise the error."""
        if self._error is not None:
            raise self._error
        return self._result


class AccountLocks:
    """One lock for each account: it is held to renew the account's tokens and to store them.

    It is the outermost lock, and the only one that is held during a request to the provider. A
    rotating refresh token works once, so renewals have to wait for each other, and a token that is
    being used up must not be stored.
    """

    def __init__(self) -> None:
        self._locks: dict[Hashable, threading.Lock] = {}
        self._holders: dict[Hashable, int] = {}

    def of(self, key: Hashable) -> threading.Lock:
        """Return the lock of an account; the holder announces itself with :meth:`held_by_me`.

        Raises ``PersistenceError`` in the thread that holds it, which would wait for itself.
        """
        lock = self._locks.setdefault(key, threading.Lock())
        if self._holders.get(key) == threading.get_ident() and lock.locked():
            raise within_itself()
        return lock

    @contextmanager
    def held_by_me(self, key: Hashable) -> Iterator[None]:
        """Mark the lock of an account as held by this thread."""
        try:
            self._holders[key] = threading.get_ident()
            yield
        finally:
            self._holders.pop(key, None)

    def if_free(self, key: Hashable, act: Callable[[], object]) -> None:
        """Call ``act`` with the lock, or not at all if it is held; run where no interrupt comes."""
        lock = self.of(key)
        if lock.acquire(blocking=False):
            try:
                with self.held_by_me(key):
                    act()
            finally:
                lock.release()

    def held(self) -> int:
        """The number of locks held now."""
        return sum(lock.locked() for lock in list(self._locks.values()))

    def forked(self) -> None:
        """In a forked child: no lock is held."""
        self._locks, self._holders = {}, {}


class Flights:
    """Shares the outcome of a call, result or error, with all that request it meanwhile.

    Whatever ends the fetching thread, at any line, also ends its flight: the waiting threads then
    fetch for themselves.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight] = {}
        self._lock = threading.Lock()

    def run(self, key: Hashable, fetch: Callable[[], Result]) -> Result:
        """Return ``fetch()``, or the outcome of the call in progress for ``key``."""
        mine = _Flight()
        try:
            try:
                while (flight := self._under_way.setdefault(key, mine)) is not mine:
                    log.debug("joins a request under way")
                    if flight.landed():
                        joined: Result = flight.outcome()
                        return joined
                    self._end(key, flight)
                mine.take(fetch)
                fetched: Result = mine.outcome()
                return fetched
            finally:
                self._end(key, mine)
        finally:  # again, in case of an interrupt in the line above
            self._end(key, mine)

    def _end(self, key: Hashable, flight: _Flight) -> None:
        with self._lock:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
        flight.ended.set()
