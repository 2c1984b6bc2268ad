"""One flight a key: however many threads ask for the same thing, one of them fetches it."""

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
"""Seconds after which those who wait see whether the thread that fetches is alive."""


def within_itself() -> PersistenceError:
    """The error of who would wait for themselves."""
    return PersistenceError(
        "A token was asked for while that account is being renewed or kept, from within that.",
        code="within_itself",
        hint="A hook of a persistence must not wait for a token of the account that it is told of.",
    )


class _Flight:
    """One fetch under way. It has landed once it has a result or an error to share."""

    def __init__(self) -> None:
        self.ended = Flag()
        self._leader = threading.current_thread()
        self._landed = False
        self._result: Any = None
        self._error: Exception | None = None

    def take(self, fetch: Callable[[], Any]) -> None:
        """Fetch. An interrupt is nobody else's: it is no outcome."""
        try:
            self._result = fetch()
        except Exception as error:
            self._error = error
        self._landed = True

    def landed(self) -> bool:
        """Wait for its end; whether it brought an outcome.

        Raises ``PersistenceError`` in the thread that fetches.
        """
        if self._leader is threading.current_thread() and not self.ended.is_set():
            raise within_itself()
        while not self.ended.wait(LOOK_EVERY) and self._leader.is_alive():
            pass
        return self._landed

    def outcome(self) -> Any:
        """The result; raises the error, if that is what it brought."""
        if self._error is not None:
            raise self._error
        return self._result


class Turns:
    """One at a time: who renews an account's tokens, and who keeps them.

    A turn is the outermost lock, and the only one that is held while a provider is asked: a
    rotating refresh token works once, so its uses have to wait for one another, and what is kept
    must not be what is being spent.
    """

    def __init__(self) -> None:
        self._locks: dict[Hashable, threading.Lock] = {}
        self._holders: dict[Hashable, int] = {}

    def of(self, key: Hashable) -> threading.Lock:
        """An account's; who takes it says so by :meth:`held_by_me`.

        Raises ``PersistenceError`` in the thread that holds it, which would wait for itself.
        """
        lock = self._locks.setdefault(key, threading.Lock())
        if self._holders.get(key) == threading.get_ident() and lock.locked():
            raise within_itself()
        return lock

    @contextmanager
    def held_by_me(self, key: Hashable) -> Iterator[None]:
        """Inside an account's turn: it is this thread's."""
        try:
            self._holders[key] = threading.get_ident()
            yield
        finally:
            self._holders.pop(key, None)

    def unless_taken(self, key: Hashable, act: Callable[[], object]) -> None:
        """Act in an account's turn, or not at all; in a thread that no interrupt reaches."""
        lock = self.of(key)
        if lock.acquire(blocking=False):
            try:
                with self.held_by_me(key):
                    act()
            finally:
                lock.release()

    def held(self) -> int:
        """How many are held now."""
        return sum(lock.locked() for lock in list(self._locks.values()))

    def forked(self) -> None:
        """In a forked child: nobody's is held."""
        self._locks, self._holders = {}, {}


class Flights:
    """Shares the outcome, good or bad, of a call among all that ask while it is under way.

    Whatever ends the thread that fetches, at whatever line, ends its flight: those who wait then
    fetch for themselves.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight] = {}
        self._lock = threading.Lock()

    def run(self, key: Hashable, fetch: Callable[[], Result]) -> Result:
        """``fetch()``, or the outcome of the one that is already under way for ``key``."""
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
        finally:  # once more, for an interrupt in the line above
            self._end(key, mine)

    def _end(self, key: Hashable, flight: _Flight) -> None:
        with self._lock:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
        flight.ended.set()
