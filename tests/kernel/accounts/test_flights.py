from __future__ import annotations

import threading

import pytest

from nbauth.kernel.accounts.flights import Flights
from tests.kernel.conftest import at_once, until


def test_one_thread_fetches_for_all() -> None:
    flights, fetched = Flights(), []
    gate = threading.Event()

    def fetch() -> int:
        fetched.append(1)
        gate.wait(5)
        return 7

    assert at_once(16, lambda: flights.run("key", fetch), flights, gate.set) == [7] * 16
    assert len(fetched) == 1


def test_an_error_is_shared_and_not_remembered() -> None:
    flights, fetched = Flights(), []
    gate = threading.Event()

    def fetch() -> int:
        fetched.append(1)
        gate.wait(5)
        raise ValueError("once")

    outcomes = at_once(16, lambda: flights.run("key", fetch), flights, gate.set)
    assert len({id(outcome) for outcome in outcomes}) == 1
    assert len(fetched) == 1
    assert flights.run("key", lambda: 8) == 8


def test_other_keys_do_not_wait() -> None:
    flights, gate = Flights(), threading.Event()
    thread = threading.Thread(target=lambda: flights.run("slow", lambda: gate.wait(5)))
    thread.start()
    assert flights.run("quick", lambda: 1) == 1
    gate.set()
    thread.join()


def test_an_interrupt_of_the_fetching_thread_does_not_reach_the_others() -> None:
    flights, under_way, gate = Flights(), threading.Event(), threading.Event()
    interrupted: list[BaseException] = []

    def fetch() -> int:
        under_way.set()
        gate.wait(5)
        raise KeyboardInterrupt

    def leader() -> None:
        try:
            flights.run("key", fetch)
        except KeyboardInterrupt as error:
            interrupted.append(error)

    results: list[int] = []
    first = threading.Thread(target=leader)
    first.start()
    until(under_way.is_set)
    second = threading.Thread(target=lambda: results.append(flights.run("key", lambda: 9)))
    second.start()
    gate.set()
    first.join()
    second.join()
    assert len(interrupted) == 1
    assert results == [9]
    with pytest.raises(ValueError, match="mine"):
        flights.run("key", lambda: (_ for _ in ()).throw(ValueError("mine")))
