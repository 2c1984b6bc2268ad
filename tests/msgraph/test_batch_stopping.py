"""Interrupts, sign-outs, forks and awaited calls during batches."""

from __future__ import annotations

import _thread
import asyncio
import faulthandler
import os
import sys
import threading
import time
from typing import Any

import pytest

from nbauth.core.errors import NotSignedIn
from nbauth.core.interrupted import GraphInterrupted
from nbauth.msgraph.client import Graph
from nbauth.msgraph.transport import Reply, Request, Transport
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import replies
from tests.kernel.conftest import Bench, in_a_thread, until

BATCH = "/v1.0/$batch"


class Gate:
    """Holds responses back."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, reply: Any, _: Any) -> Any:
        self.reached.set()
        self.opened.wait(10)
        return reply


@pytest.fixture
def gate(faulty_graph: FaultyGraph) -> Any:
    made = Gate()
    faulty_graph.fail("POST", BATCH, on=3, answer=made)
    yield made
    made.opened.set()


def interrupt_when(ready: threading.Event) -> None:
    def interrupt() -> None:
        ready.wait(10)
        time.sleep(0.1)
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()


@pytest.mark.timing
def test_an_interrupt_keeps_what_is_finished(
    graph: Graph, faulty_graph: FaultyGraph, gate: Gate
) -> None:
    interrupt_when(gate.reached)
    began = time.monotonic()
    with pytest.raises(GraphInterrupted) as caught:
        graph.get_many(["me"] * 100, width=2)
    assert time.monotonic() - began < 1.5
    assert graph.partial is not None
    rows = graph.partial.rows
    assert len(rows) == 100 and rows == caught.value.rows
    missing = [at for at, row in enumerate(rows) if row is None]
    assert missing[0] % 20 == 0 and missing == list(range(missing[0], missing[0] + 20))
    assert "80 of 100" in caught.value._render_traceback_()[0]
    gate.opened.set()
    assert all(one.ok for one in graph.get_many(["me"] * 3))


@pytest.mark.timing
def test_an_interrupt_ends_a_wait(graph: Graph, faulty_graph: FaultyGraph) -> None:
    refused = threading.Event()

    def refuse(*_: Any) -> Any:
        refused.set()
        return replies.throttled(60)

    faulty_graph.fail("GET", "/v1.0/me", on=2, answer=refuse)
    interrupt_when(refused)
    began = time.monotonic()
    with pytest.raises(GraphInterrupted):
        graph.get_many(["me", "me", "me"])
    assert time.monotonic() - began < 1.5
    assert graph.partial is not None
    assert [row is not None for row in graph.partial.rows] == [True, False, True]


def test_a_sign_out_in_the_middle_keeps_what_is_finished(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench
) -> None:
    def sign_out(reply: Any, _: Any) -> Any:
        bench.session.logout()
        return reply

    faulty_graph.fail("POST", BATCH, on=2, answer=sign_out)
    with pytest.raises(NotSignedIn):
        graph.get_many(["me"] * 100, width=1)
    assert graph.partial is not None
    assert [row is not None for row in graph.partial.rows] == [True] * 40 + [False] * 60


def test_the_first_token_is_of_this_thread(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[Any] = []
    auth: Any = type(graph.session.auth)
    call = auth.__call__

    def noted(self: Any, request: Any) -> Any:
        threads.append(threading.current_thread())
        return call(self, request)

    monkeypatch.setattr(auth, "__call__", noted)
    assert graph.get_many(["me"])[0].ok
    assert threads[0] is threading.main_thread() is not threads[1]


def test_what_needs_the_person_is_done_by_this_thread(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, asked = Transport.once, []

    def send(self: Transport, request: Request) -> Reply:
        if threading.current_thread() is threading.main_thread():
            asked.append(request)
        elif not asked:
            raise NotSignedIn("Nobody is signed in.")
        return once(self, request)

    monkeypatch.setattr(Transport, "once", send)
    assert all(one.ok for one in graph.get_many(["me"] * 100))
    assert 1 <= len(asked) <= 4 and len(faulty_graph.requests) == 5


def test_awaited(graph: Graph, faulty_graph: FaultyGraph) -> None:
    async def both() -> Any:
        return await asyncio.gather(
            graph.aio.get_many(["me"] * 30, select=["id"]), graph.aio.batch([{"path": "me"}])
        )

    many, one = asyncio.run(both())
    assert len(many) == 30 and all(item.ok for item in [*many, *one])


def test_a_cancelled_await_ends_its_waits(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=replies.throttled(60))

    async def cancelled() -> None:
        task = asyncio.create_task(graph.aio.get_many(["me"] * 25))
        while len(faulty_graph.members) < 25:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancelled())
    until(lambda: not [one for one in threading.enumerate() if one.name == "nbauth-graph"], 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_forked_during_a_call(
    graph: Graph, faulty_graph: FaultyGraph, gate: Gate
) -> None:
    # One batch at once: OpenSSL has locks, so a fork must not meet another thread's handshake.
    thread, outcome = in_a_thread(lambda: graph.get_many(["me"] * 100, width=1))
    assert gate.reached.wait(5)
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(5, exit=True, file=sys.__stderr__)
        done = False
        try:
            done = all(one.ok for one in graph.get_many(["me"] * 41))
        finally:
            os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0
    gate.opened.set()
    thread.join(10)
    assert all(one.ok for one in outcome[0])
