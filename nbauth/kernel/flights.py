"""One flight a key: however many threads ask for the same thing, one of them fetches it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Flights:
    """Shares the outcome, good or bad, of a call among all that ask while it is under way."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def run(self, key: Hashable, fetch: Callable[[], Result]) -> Result:
        """``fetch()``, or the outcome of the one that is already under way for ``key``."""
        while True:
            with self._lock:
                flight = self._under_way.get(key)
                if flight is None:
                    mine: Future[Result] = Future()
                    self._under_way[key] = mine
                    break
            try:
                result: Result = flight.result()
                return result
            except _LeaderInterrupted:
                continue  # its cell was interrupted, this one was not
        try:
            outcome = fetch()
        except Exception as error:
            self._land(key).set_exception(error)
            raise
        except BaseException:
            self._land(key).set_exception(_LeaderInterrupted())
            raise
        self._land(key).set_result(outcome)
        return outcome

    def _land(self, key: Hashable) -> Future[Any]:
        with self._lock:
            return self._under_way.pop(key)


class _LeaderInterrupted(Exception):
    pass
