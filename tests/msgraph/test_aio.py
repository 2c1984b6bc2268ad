"""Awaited calls: the loop is not blocked, and no thread is left after a cancellation."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from nbauth.core.errors import GraphError, InteractionRequired, NbAuthError
from nbauth.msgraph.aio import AsyncGraph
from nbauth.msgraph.client import Graph
from nbauth.msgraph.files.file_operations import Files
from nbauth.msgraph.operations import Operations
from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import replies
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply
from tests.kernel.conftest import Bench, in_a_thread, until
from tests.msgraph.permitting import Permitting

THREADS = "nbauth-graph"
NOT_AWAITED = {"odata", "with_bound"}


def threads() -> int:
    return sum(one.name == THREADS for one in threading.enumerate())


async def ticking(call: Awaitable[Any]) -> tuple[Any, int]:
    """The result, and how often the loop could run something else meanwhile."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    other = asyncio.create_task(tick())
    try:
        return await call, ticks
    finally:
        other.cancel()


async def cancelled(call: Callable[[], Awaitable[Any]], ready: Callable[[], object]) -> float:
    """Cancel a call when it is ready; the seconds until the task has ended."""
    task = asyncio.ensure_future(call())
    end = time.monotonic() + 5
    while not ready():
        assert not task.done() and time.monotonic() < end
        await asyncio.sleep(0.005)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - began


def close(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop that has tasks, without asyncio's warning about them."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


async def rows_of(found: Any) -> list[Any]:
    return [row async for row in found]


@pytest.fixture
def gate(faulty_graph: FaultyGraph) -> Iterator[threading.Event]:
    """Holds the second response for ``me`` and for a page of users until it is set."""
    made = threading.Event()

    def hold(reply: Reply, _: Recorded) -> Reply:
        made.wait(10)
        return reply

    for path in ("/v1.0/users", "/v1.0/me"):
        faulty_graph.fail("GET", path, on=2, answer=hold)
    yield made
    made.set()


def test_each_call_is_there_with_the_same_parameters() -> None:
    own = {**vars(Files), **vars(Operations)}
    names = {name for name in own if name[0] != "_"} - NOT_AWAITED
    assert names == {name for name in vars(AsyncGraph) if name[0] != "_"}
    for name in names:
        one = inspect.signature(getattr(Operations, name)).parameters
        assert one == inspect.signature(getattr(AsyncGraph, name)).parameters, name


CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "get": (lambda graph: graph.get("me"), lambda aio: aio.get("me")),
    "list": (
        lambda graph: list(graph.list("users", top=60)),
        lambda aio: rows_of(aio.list("users", top=60)),
    ),
    "df": (
        lambda graph: graph.df("users", top=60, to="table"),
        lambda aio: aio.df("users", top=60, to="table"),
    ),
    "get_many": (
        lambda graph: [one.body for one in graph.get_many(["me"] * 21)],
        lambda aio: _bodies(aio.get_many(["me"] * 21)),
    ),
}


async def _bodies(items: Any) -> list[Any]:
    return [one.body for one in await items]


@pytest.mark.parametrize(("blocking", "awaited"), CALLS.values(), ids=CALLS)
def test_the_results_are_the_same(graph: Graph, blocking: Any, awaited: Any) -> None:
    expected = blocking(graph)
    for _ in range(2):  # two loops
        assert asyncio.run(awaited(graph.aio)) == expected
    until(lambda: threads() == 0)


def test_changes(graph: Graph, faulty_graph: FaultyGraph) -> None:
    async def all_of_them() -> Any:
        assert await graph.aio.post("me/sendMail", {"message": {}}) is None
        path = f"users/{list(faulty_graph.users.rows)[-1]}"
        await graph.aio.patch(path, {"displayName": "Newer"})
        found = await graph.aio.get(path)
        await graph.aio.delete(path)
        with pytest.raises(GraphError) as caught:
            await graph.aio.get(path)
        return found, caught.value

    found, error = asyncio.run(all_of_them())
    assert found["displayName"] == "Newer" and error.status == 404


# ── tokens ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def nobody_yet(bench: Bench, faulty_graph: FaultyGraph, certificates: Certificates) -> Graph:
    """A Graph that is made before somebody signs in."""
    at = Permitting(bench, faulty_graph, certificates, microsoft=False)
    bench.session.logout(all=True)
    bench.screen.attended = _is_main  # type: ignore[method-assign]
    return at.client("User.Read")


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize(("blocking", "awaited"), CALLS.values(), ids=CALLS)
def test_the_first_call_signs_in_and_the_loop_goes_on(
    nobody_yet: Graph, bench: Bench, blocking: Any, awaited: Any
) -> None:
    gate = bench.engine.hold("poll_device")

    def person(_: object) -> None:
        gate.reached.wait(5)
        time.sleep(0.03)
        gate.open()

    bench.screen.person = person
    result, ticks = asyncio.run(ticking(awaited(nobody_yet.aio)))
    assert ticks >= 3
    assert len(dict.fromkeys(bench.screen.shown)) == 1
    assert result == blocking(nobody_yet)
    assert len(dict.fromkeys(bench.screen.shown)) == 1


def test_two_first_calls_share_the_sign_in(nobody_yet: Graph, bench: Bench) -> None:
    async def both() -> Any:
        return await asyncio.gather(nobody_yet.aio.get("me"), nobody_yet.aio.get("me"))

    one, other = asyncio.run(both())
    assert one == other
    assert len(dict.fromkeys(bench.screen.shown)) == 1


def test_a_loop_of_another_thread_asks_nobody(nobody_yet: Graph, bench: Bench) -> None:
    thread, outcome = in_a_thread(lambda: asyncio.run(nobody_yet.aio.get("me")))
    thread.join(5)
    assert isinstance(outcome[0], InteractionRequired)
    assert bench.screen.shown == []


def test_loops_of_several_threads_at_once(graph: Graph, faulty_graph: FaultyGraph) -> None:
    async def many() -> list[Any]:
        return await asyncio.gather(*(graph.aio.get("me") for _ in range(5)))

    started = [in_a_thread(lambda: asyncio.run(many())) for _ in range(4)]
    for thread, _ in started:
        thread.join(10)
    assert all(len(outcome[0]) == 5 for _, outcome in started)
    assert len(faulty_graph.requests) == 20


def test_a_token_that_has_expired_is_renewed_once(graph: Graph, bench: Bench) -> None:
    bench.clock.advance(4000)
    before = bench.refreshes

    async def many() -> list[Any]:
        return await asyncio.gather(*(graph.aio.get("me") for _ in range(8)))

    assert len(asyncio.run(many())) == 8
    assert bench.refreshes == before + 1


def test_an_error_of_the_token_is_raised(graph: Graph, bench: Bench) -> None:
    bench.session.logout()
    with pytest.raises(NbAuthError):
        asyncio.run(graph.aio.get("me"))


def test_a_provider_that_times_out_ends_the_call(
    graph: Graph, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises the class that also means: no result yet."""

    async def late(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("nbauth.kernel.bound.Bound._got_async", late)
    bench.clock.advance(4000)
    with pytest.raises(GraphError):
        asyncio.run(graph.aio.get("me"))


# ── cancellation ────────────────────────────────────────────────────────────────────────────


@pytest.mark.timing
def test_cancelled_while_the_person_signs_in(nobody_yet: Graph, bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    took = asyncio.run(cancelled(lambda: nobody_yet.aio.get("me"), gate.reached.is_set))
    assert took < 0.5
    until(lambda: threads() == 0, 1)
    gate.open()
    bench.screen.shown.clear()
    assert asyncio.run(nobody_yet.aio.get("me"))


WAITS: dict[str, Callable[[AsyncGraph], Awaitable[Any]]] = {
    "get": lambda aio: aio.get("me"),
    "list": lambda aio: rows_of(aio.list("users", top=50)),
    "df": lambda aio: aio.df("users", top=50, to="table"),
    "get_many": lambda aio: aio.get_many(["me"] * 3),
}


@pytest.mark.timing
@pytest.mark.parametrize(
    ("call", "on"), [*((call, 1) for call in WAITS.values()), (WAITS["list"], 2), (WAITS["df"], 2)]
)
def test_cancelled_while_a_service_asks_to_wait(
    graph: Graph, faulty_graph: FaultyGraph, call: Any, on: int
) -> None:
    """On the second page it is the thread that reads ahead that waits."""
    refused = [
        faulty_graph.fail("GET", path, on=on, answer=replies.throttled(30))
        for path in ("/v1.0/me", "/v1.0/users")
    ]
    took = asyncio.run(cancelled(lambda: call(graph.aio), lambda: any(one.hits for one in refused)))
    assert took < 0.5
    until(lambda: threads() == 0, 1.5)
    for one in refused:
        assert len(one.hits) <= 1, "nothing is sent after it"


@pytest.mark.timing
@pytest.mark.parametrize("call", [WAITS["list"], WAITS["df"]], ids=["list", "df"])
def test_cancelled_while_a_response_is_awaited(
    graph: Graph, faulty_graph: FaultyGraph, gate: threading.Event, call: Any
) -> None:
    took = asyncio.run(cancelled(lambda: call(graph.aio), lambda: len(faulty_graph.requests) == 2))
    assert took < 0.5
    gate.set()
    until(lambda: threads() == 0, 1)
    assert len(faulty_graph.requests) <= 3


def test_a_list_that_is_left_reads_no_further(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=2, answer=replies.throttled(30))

    async def first() -> Any:
        async for row in graph.aio.list("users", top=50):
            return row
        return None

    assert asyncio.run(first())
    until(lambda: threads() == 0, 1.5)


def test_the_loop_is_closed_before_the_response(
    graph: Graph, faulty_graph: FaultyGraph, gate: threading.Event
) -> None:
    graph.get("me")
    loop = asyncio.new_event_loop()
    task = loop.create_task(graph.aio.get("me"))
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    until(lambda: len(faulty_graph.requests) == 2)
    close(loop)
    gate.set()
    until(lambda: threads() == 0, 1)
    assert not task.done()
    assert asyncio.run(graph.aio.get("me"))


def test_the_loop_is_closed_before_the_token(graph: Graph, bench: Bench) -> None:
    bench.clock.advance(4000)
    held = bench.engine.hold("refresh")
    loop = asyncio.new_event_loop()
    task = loop.create_task(graph.aio.get("me"))
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    close(loop)
    until(lambda: threads() == 0, 1.5)
    held.open()
    assert not task.done()


def test_an_error_keeps_the_rows(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=3, answer=replies.refusal(400, "BadRequest", "No."))
    with pytest.raises(GraphError) as caught:
        asyncio.run(graph.aio.df("users", top=50, to="table"))
    assert graph.partial is not None
    assert len(graph.partial.rows) == len(caught.value.rows) == 100
