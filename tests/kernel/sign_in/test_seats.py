"""Who waits has a seat from before anybody sees it to its end; the last to leave ends a sign-in."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, NbAuthError, SignInExpired
from nbauth.kernel.sign_in import persons_time, waited
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import PENDING
from tests.kernel.conftest import Bench, in_a_thread, redirect, until


@pytest.fixture(autouse=True)
def only_paste(bench: Bench) -> None:
    """A sign-in waits until something is handed in."""
    bench.screen.known_ways = ("paste",)


def present(bench: Bench) -> SignIn:
    """The sign-in under way, once it is the person's turn."""
    until(lambda: bench.session.pending() and bench.session.pending()[0].expires_in)
    return bench.session.pending()[0]


def login(bench: Bench, **options: Any) -> Callable[[], Any]:
    return lambda: bench.session.login("read", force=True, **options)


async def cancelled(bench: Bench, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """A task signs in; when it waits, something happens, and it is cancelled."""
    task = asyncio.ensure_future(bench.session.login_async("read", timeout=30, force=True))
    while not (bench.session.pending() and bench.session.pending()[0].expires_in):
        await asyncio.sleep(0.005)
    await meanwhile()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# ── the last to leave ends it ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", ["who is cancelled", "who has no more time"])
def test_a_sign_in_that_nobody_waits_for_ends(bench: Bench, first: str) -> None:
    async def joins() -> None:
        others.append(in_a_thread(login(bench, timeout=0.5)))
        until(lambda: present(bench).waiters == 2)

    others: list[Any] = []
    if first == "who is cancelled":
        asyncio.run(cancelled(bench, joins))
    else:
        others.append(in_a_thread(login(bench, timeout=0.5)))
        sign_in = present(bench)
        asyncio.run(joined_and_cancelled(bench, sign_in))
    ((thread, outcome),) = others
    thread.join(5)
    assert isinstance(outcome[0], SignInExpired)
    assert bench.session.pending() == []


async def joined_and_cancelled(bench: Bench, sign_in: SignIn) -> None:
    task = asyncio.ensure_future(bench.session.login_async("read", timeout=30, force=True))
    while sign_in.waiters < 2:
        await asyncio.sleep(0.005)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_token_call_that_has_no_more_time_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(SignInExpired):
        bench.session.acquire("read", timeout=0.2)
    assert bench.session.pending() == []


def test_nobody_joins_one_that_is_left(bench: Bench) -> None:
    """Between the look that nobody else waits and the end, somebody came."""
    cancel, joined = SignIn.cancel, []

    def late(sign_in: SignIn) -> None:
        if not joined:
            joined.append(in_a_thread(login(bench, timeout=30)))
            until(lambda: bench.session.pending()[0] is not sign_in)
        cancel(sign_in)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SignIn, "cancel", late)
        asyncio.run(cancelled(bench, lambda: asyncio.sleep(0)))
    sign_in = present(bench)
    sign_in.submit(redirect(str(sign_in.authorize_url)))
    thread, outcome = joined[0]
    thread.join(5)
    assert outcome[0].username == "ada@example.com"


# ── a seat is taken from the beginning on ───────────────────────────────────────────────────


def test_who_has_begun_is_seated_before_anybody_hears_of_it(bench: Bench) -> None:
    heard, go_on = threading.Event(), threading.Event()

    def takes_a_while() -> None:
        if bench.session.pending() and not heard.is_set():
            heard.set()
            go_on.wait(5)

    bench.session.changed.connect(takes_a_while)
    thread, outcome = in_a_thread(login(bench, timeout=30))
    assert heard.wait(5)
    sign_in = present(bench)
    asyncio.run(joined_and_cancelled_now(bench))
    go_on.set()
    assert sign_in.state == "waiting"
    sign_in.submit(redirect(str(sign_in.authorize_url)))
    thread.join(5)
    assert outcome[0].username == "ada@example.com"


async def joined_and_cancelled_now(bench: Bench) -> None:
    task = asyncio.ensure_future(bench.session.login_async("read", timeout=30, force=True))
    await asyncio.sleep(0.1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_call_that_finds_a_sign_in_at_its_end_asks_by_itself(bench: Bench) -> None:
    join, joins = bench.session._attempts.join, []

    def late(sign_in: SignIn, timeout: float | None) -> Any:
        if not joins:
            joins.append(sign_in)
            until(lambda: sign_in.state == "cancelled")
        return join(sign_in, timeout)

    async def waits() -> None:
        calls.append(in_a_thread(lambda: bench.session.acquire("read", timeout=30)))
        until(lambda: joins)

    calls: list[Any] = []
    bench.session._attempts.join = late  # type: ignore[method-assign]
    asyncio.run(cancelled(bench, waits))
    sign_in = present(bench)
    sign_in.submit(redirect(str(sign_in.authorize_url)))
    thread, outcome = calls[0]
    thread.join(5)
    assert outcome[0].account.username == "ada@example.com"


def test_the_end_of_who_begins_ends_no_background_sign_in(bench: Bench) -> None:
    show, begun = bench.screen.show, []

    def interrupted(sign_in: SignIn) -> None:
        if not begun:
            thread, outcome = in_a_thread(login(bench, background=True))
            thread.join(5)
            begun.append(outcome[0])
            raise KeyboardInterrupt
        show(sign_in)

    bench.screen.show = interrupted  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.session.login("read", force=True)
    assert begun[0].state == "waiting"
    assert begun[0].held
    begun[0].cancel()


def test_the_engine_of_who_joins_in_vain_is_closed(bench: Bench) -> None:
    made, for_sign_in = [], bench.session._engines.for_sign_in

    class Watched:
        closed = 0

        def __init__(self, engine: Any) -> None:
            self._engine = engine

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

        def close(self) -> None:
            self.closed += 1

    def watched(client: Any) -> Any:
        made.append(Watched(for_sign_in(client)))
        return made[-1]

    def gone(_: object) -> None:
        raise OSError("the front end is gone")

    bench.session._engines.for_sign_in = watched  # type: ignore[method-assign]
    first = bench.session.login("read", background=True)
    bench.screen.show = gone  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="gone"):
        bench.session.login("read", force=True)
    first.cancel()  # type: ignore[union-attr]
    until(lambda: [engine.closed for engine in made] == [1, 1])


# ── each has their own time ─────────────────────────────────────────────────────────────────


def test_the_time_where_nobody_sets_one_is_no_limit_to_who_sets_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persons_time, "DEFAULT_TIMEOUT", 0.5)
    first = bench.session.login("read", background=True)
    thread, outcome = in_a_thread(login(bench, timeout=30))
    time.sleep(1)
    assert not outcome
    assert first.expires_in > 20  # type: ignore[union-attr, operator]
    first.cancel()  # type: ignore[union-attr]
    thread.join(5)


@pytest.mark.timing
def test_nor_is_that_time_longer_because_others_join(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (persons_time, waited):
        monkeypatch.setattr(module, "DEFAULT_TIMEOUT", 0.5)
    thread, outcome = in_a_thread(login(bench))
    sign_in = present(bench)
    joined, others = in_a_thread(login(bench, timeout=30))
    thread.join(3)
    assert isinstance(outcome[0], SignInExpired)
    assert not others
    sign_in.cancel()
    joined.join(5)


@pytest.mark.timing
def test_another_flow_that_others_choose_gives_who_began_no_more_time(bench: Bench) -> None:
    bench.engine.will("poll_device", *[PENDING] * 5000)
    began = time.monotonic()
    thread, outcome = in_a_thread(login(bench, timeout=1))
    sign_in = present(bench)
    for number in range(6):
        flow = ("device", "paste")[number % 2]
        bench.session.login("read", background=True, timeout=1, flow=flow, force=True)
        time.sleep(0.4)
    thread.join(5)
    assert isinstance(outcome[0], SignInExpired)
    assert time.monotonic() - began < 4
    sign_in.cancel()


def test_who_comes_as_the_time_runs_out_begins_anew(bench: Bench) -> None:
    at_its_end, go_on = threading.Event(), threading.Event()
    end = SignIn._end

    def slowly(sign_in: SignIn, step: Any) -> None:
        if getattr(step, "error", None) is not None and step.error.code == "timeout":
            at_its_end.set()
            go_on.wait(3)
        end(sign_in, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SignIn, "_end", slowly)
        first = bench.session.login("read", background=True, timeout=0.2)
        assert at_its_end.wait(5)
        thread, outcome = in_a_thread(login(bench, timeout=30))
        time.sleep(0.1)
        go_on.set()
        until(lambda: first.state == "failed")  # type: ignore[union-attr]
        sign_in = present(bench)
        sign_in.submit(redirect(str(sign_in.authorize_url)))
        thread.join(5)
    assert outcome[0].username == "ada@example.com"


# ── what the sign-in comes to ───────────────────────────────────────────────────────────────


def test_who_signs_in_by_joining_a_token_call_is_current(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.engine.user = "bob"
    accept, inside, go_on = bench.session._attempts._destination.accept, threading.Event(), []

    def slowly(*given: Any) -> Any:
        inside.set()
        until(lambda: go_on)
        return accept(*given)

    bench.session._attempts._destination.accept = slowly  # type: ignore[method-assign]
    bench.screen.known_ways = ("device",)
    bob = "bob@example.com"
    thread, _ = in_a_thread(lambda: bench.session.acquire("read", account=bob))
    assert inside.wait(5)
    sign_in = bench.session.pending()[0]
    other, outcome = in_a_thread(lambda: bench.session.login("read", account=bob))
    until(lambda: sign_in.waiters == 2)
    go_on.append(True)
    thread.join(5)
    other.join(5)
    assert outcome[0].username == bob
    assert next(account.username for account in bench.session.accounts()) == bob


def test_a_panel_that_tries_again_has_the_wish_of_who_joined(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bob = "bob@example.com"
    thread, _ = in_a_thread(lambda: bench.session.acquire("read", account=bob))
    sign_in = present(bench)
    other, _ = in_a_thread(lambda: bench.session.login("read", account=bob))
    until(lambda: sign_in.waiters == 2)
    sign_in.cancel()
    thread.join(5)
    other.join(5)
    again = sign_in.again()
    assert again.request.makes_current
    again.cancel()


def test_who_asked_for_nobody_is_not_told_that_another_was_asked_for(bench: Bench) -> None:
    bench.engine.user = "ada"
    thread, outcome = in_a_thread(login(bench, account="bob@example.com"))
    sign_in = present(bench)
    other, others = in_a_thread(lambda: bench.session.acquire("read"))
    until(lambda: sign_in.waiters == 2)
    sign_in.submit(redirect(str(sign_in.authorize_url)))
    thread.join(5)
    assert isinstance(outcome[0], NbAuthError)
    assert outcome[0].code == "wrong_account"
    again = present(bench)
    again.submit(redirect(str(again.authorize_url)))
    other.join(5)
    assert others[0].account.username == "ada@example.com"


# ── await ───────────────────────────────────────────────────────────────────────────────────


def test_who_awaits_it_counts(bench: Bench) -> None:
    async def main() -> str:
        begun = asyncio.ensure_future(bench.session.login_async("read", timeout=30, force=True))
        while not (bench.session.pending() and bench.session.pending()[0].authorize_url):
            await asyncio.sleep(0.005)
        sign_in = bench.session.pending()[0]

        async def awaits() -> str:
            return (await sign_in).username

        awaiting = asyncio.ensure_future(awaits())
        while sign_in.waiters < 2:
            await asyncio.sleep(0.005)
        begun.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await begun
        sign_in.submit(redirect(str(sign_in.authorize_url)))
        return await awaiting

    assert asyncio.run(main()) == "ada@example.com"


def test_what_a_sign_in_calls_does_not_await_it(bench: Bench) -> None:
    refused: list[BaseException] = []

    def asks(_: str) -> str:
        async def main() -> None:
            await bench.session.pending()[0]

        try:
            asyncio.run(main())
        except ConfigurationError as error:
            refused.append(error)
        return "http://127.0.0.1/?error=no"

    with pytest.raises(NbAuthError):
        bench.session.login("read", web_ui=asks, timeout=5)
    assert refused[0].code == "waits_for_itself"  # type: ignore[attr-defined]
