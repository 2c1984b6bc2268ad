"""Joining is for equal requests only: everything that defines a sign-in is compared."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import InteractionRequired, SignInExpired
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.kernel.sign_in.seats import Seat
from nbauth.testing.engine import PENDING
from tests.kernel.conftest import Bench, in_a_thread, redirect, until

CLAIMS = '{"id_token": {"acr": null}}'
OTHER_CLAIMS = '{"id_token": {"acr": {"essential": true}}}'

DIFFERENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"account": "ada@example.com"}),
    ({"account": "ada@example.com"}, {"account": "bob@example.com"}),
    ({}, {"prompt": "login"}),
    ({"prompt": "login"}, {"prompt": "consent"}),
    ({}, {"claims": CLAIMS}),
    ({"claims": CLAIMS}, {"claims": OTHER_CLAIMS}),
    ({}, {"max_age": 60}),
    ({"max_age": 0}, {"max_age": 60}),
    ({}, {"consent_also": ["write"]}),
    ({}, {"login_hint": "ada@example.com"}),
    ({}, {"domain_hint": "example.com"}),
    ({}, {"extra_parameters": {"acr_values": "2"}}),
    ({}, {"client_id": "another"}),
    ({}, {"authority": "https://another.example"}),
]
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"timeout": 60}),
    ({}, {"flow": "device"}),
    ({"claims": CLAIMS}, {"claims": CLAIMS}),
    ({"account": "ada@example.com"}, {"account": "ADA@example.com", "login_hint": None}),
    ({"consent_also": ["write"]}, {"consent_also": "write"}),
]


def begun(bench: Bench, **options: Any) -> SignIn:
    bench.engine.hold("start_device")
    made = bench.session.login("read", background=True, force=True, **options)
    assert isinstance(made, SignIn)
    return made


def end(*attempts: SignIn) -> None:
    for attempt in attempts:
        attempt.cancel()


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_requests_are_independent_attempts(
    bench: Bench, one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = begun(bench, **one), begun(bench, **other)
    assert first is not second
    assert (first.state, second.state) == ("waiting", "waiting")
    assert begun(bench, **one) is first
    assert begun(bench, **other) is second
    end(first, second)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_requests_join(bench: Bench, one: dict[str, Any], other: dict[str, Any]) -> None:
    if "account" in one:  # the spelling of a login hint makes no difference
        other = {**other, "account": one["account"]}
    first = begun(bench, **one)
    assert begun(bench, **other) is first
    end(first)


def test_another_persistence_is_another_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kernel.accounts.shelf import Shelf

    monkeypatch.setattr("nbauth.persistence.persistence_named", Shelf().named)
    first, second = begun(bench), begun(bench, persist="keyring")
    assert first is not second
    end(first, second)


def test_two_web_uis_are_two_attempts(bench: Bench) -> None:
    gate = threading.Event()

    def slow(url: str) -> str:
        gate.wait(5)
        return redirect(url)

    first = bench.session.login("read", background=True, web_ui=slow)
    account = bench.session.login("read", web_ui=redirect)
    assert isinstance(account, Account)
    assert isinstance(first, SignIn)
    assert first.state == "waiting"
    gate.set()
    assert first.wait(5)


def test_threads_that_sign_in_at_once_share_one_attempt(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    bench.screen.known_ways = ("device",)
    outcomes: list[Any] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(bench.session.login("read")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    until(lambda: bench.session.pending() and bench.session.pending()[0].waiters == 8)
    gate.open()
    for thread in threads:
        thread.join(5)
    assert len(outcomes) == 8
    assert bench.engine.count("start_device") == 1


def test_a_joining_call_that_waits_shows_the_panel(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    first = bench.session.login("read", background=True)
    assert bench.screen.shown == [first]
    threading.Timer(0.05, gate.open).start()
    assert bench.session.login("read")
    assert bench.screen.shown == [first, first]


def test_a_call_that_waits_for_another_sign_in_shows_it(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    first = bench.session.login("read", background=True)
    threading.Timer(0.05, gate.open).start()
    assert bench.session.acquire("read")
    assert bench.screen.shown == [first, first]


def test_an_unattended_thread_may_join_but_not_begin(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    bench.session.login("read", background=True)
    bench.screen.is_attended = False
    threading.Timer(0.05, gate.open).start()
    assert bench.session.login("read")
    bench.engine.ungranted = {"write"}
    with pytest.raises(InteractionRequired):
        bench.session.login("write")


# ── a refused token is not returned again ───────────────────────────────────────────────────


def test_a_forced_refresh_does_not_join_a_refresh_that_keeps_the_old_token(bench: Bench) -> None:
    """A refresh ahead of need fails and keeps the old token, which the host has refused."""
    from nbauth.core.errors import AuthorityUnreachable
    from nbauth.testing.engine import unreachable

    bench.sign_in("read")
    bench.clock.advance(3400)
    gate = bench.engine.hold("refresh", then=unreachable())
    kept: list[str] = []
    thread = threading.Thread(target=lambda: kept.append(bench.read("read")))
    thread.start()
    until(gate.reached.is_set)
    bench.engine.will("refresh", unreachable())
    threading.Timer(0.05, gate.open).start()
    with pytest.raises(AuthorityUnreachable):
        bench.read("read", force_refresh=True)
    thread.join(5)
    assert kept == ["access-ada-1"]


def test_a_forced_refresh_uses_the_new_token_of_another_refresh(bench: Bench) -> None:
    bench.sign_in("read")
    bench.clock.advance(4000)
    gate = bench.engine.hold("refresh")
    brought: list[str] = []
    thread = threading.Thread(target=lambda: brought.append(bench.read("read")))
    thread.start()
    until(gate.reached.is_set)
    threading.Timer(0.05, gate.open).start()
    assert bench.read("read", force_refresh=True) == "access-ada-2"
    thread.join(5)
    assert brought == ["access-ada-2"]
    assert bench.refreshes == 1


# ── time-outs, other flows, other callers' ends ─────────────────────────────────────────────


def test_a_joining_call_waits_no_longer_than_its_own_time_out(bench: Bench) -> None:
    first = begun(bench, timeout=30)
    with pytest.raises(SignInExpired):
        bench.session.login("read", timeout=0.2, force=True)
    assert first.state == "waiting"
    end(first)


def test_a_joining_awaited_call_waits_no_longer_than_its_own_time_out(bench: Bench) -> None:
    first = begun(bench, timeout=30)
    with pytest.raises(SignInExpired):
        asyncio.run(bench.session.login_async("read", timeout=0.2, force=True))
    assert first.state == "waiting"
    end(first)


CALLS = ["acquire", "token", "bound", "awaited"]


def call_for_a_token(bench: Bench, call: str, **options: Any) -> str:
    session = bench.session
    if call == "acquire":
        return session.acquire("read", **options).account.username
    if call == "token":
        return str(session.token("read", **options)) and "ada@example.com"
    bound = session.bind(**options)
    scopes = bound.client.scopes(("read",))
    if call == "bound":
        return bound.get(scopes).account.username
    return asyncio.run(bound.get_async(scopes)).account.username


@pytest.mark.parametrize("call", CALLS)
def test_a_token_call_waits_no_longer_than_its_own_time_out(bench: Bench, call: str) -> None:
    first = begun(bench, timeout=30)
    with pytest.raises(SignInExpired):
        call_for_a_token(bench, call, timeout=0.2)
    assert first.state == "waiting"
    end(first)


@pytest.mark.timing
@pytest.mark.parametrize("call", CALLS)
def test_a_token_call_is_not_ended_by_another_callers_time_out(bench: Bench, call: str) -> None:
    bench.screen.known_ways = ("paste",)
    first = bench.session.login("read", background=True, timeout=0.4)
    assert isinstance(first, SignIn)
    until(lambda: first.expires_in)
    thread, outcome = in_a_thread(lambda: call_for_a_token(bench, call, timeout=30))
    until(lambda: first.waiters)
    time.sleep(0.6)
    assert first.state == "waiting"
    first.submit(redirect(str(first.authorize_url)))
    thread.join(5)
    assert outcome == ["ada@example.com"]


@pytest.mark.timing
@pytest.mark.parametrize("call", ["login", "login_async", "acquire"])
def test_the_first_caller_waits_no_longer_because_another_has_joined(
    bench: Bench, call: str
) -> None:
    session = bench.session
    calls: dict[str, Callable[[], Any]] = {
        "login": lambda: session.login("read", timeout=1.2),
        "login_async": lambda: asyncio.run(session.login_async("read", timeout=1.2)),
        "acquire": lambda: session.acquire("read", timeout=1.2),
    }
    bench.screen.known_ways = ("paste",)
    began = time.monotonic()
    thread, outcome = in_a_thread(calls[call])
    until(lambda: session.pending() and session.pending()[0].expires_in)
    (sign_in,) = session.pending()
    other, others = in_a_thread(lambda: session.login("read", timeout=30, force=True))
    thread.join(5)
    assert isinstance(outcome[0], SignInExpired)
    assert 1.2 <= time.monotonic() - began < 4.5
    assert sign_in.state == "waiting"
    assert not others
    sign_in.cancel()
    other.join(5)


@pytest.mark.parametrize("timeout", [30.0, None])
def test_a_joining_call_has_its_own_time_out(bench: Bench, timeout: float | None) -> None:
    """The attempt ended with the time-out of its first caller."""
    bench.screen.known_ways = ("paste",)
    first = bench.session.login("read", background=True, timeout=0.4)
    assert isinstance(first, SignIn)
    until(lambda: first.expires_in)
    shown: list[float | None] = []
    first.changed.connect(lambda changed: shown.append(changed.expires_in))
    thread, outcome = in_a_thread(lambda: bench.session.login("read", timeout=timeout, force=True))
    until(lambda: first.waiters)
    time.sleep(0.6)
    assert first.state == "waiting"
    assert first.expires_in > 20  # type: ignore[operator]
    assert shown[-1] > 20  # type: ignore[operator]
    first.submit(redirect(str(first.authorize_url)))
    thread.join(5)
    assert outcome[0].username == "ada@example.com"


def test_a_joining_call_does_not_extend_the_codes_lifetime(bench: Bench) -> None:
    bench.engine.code_lifetime = 5
    bench.engine.will("poll_device", *[PENDING] * 1000)
    first = bench.session.login("read", background=True, timeout=1, force=True)
    assert isinstance(first, SignIn)
    until(lambda: first.user_code)
    second = bench.session.login("read", background=True, timeout=60, force=True)
    assert second is first
    assert 1 < first.expires_in <= 5  # type: ignore[operator]
    end(first)


def test_a_callers_end_does_not_end_one_that_joins_with_another_flow(bench: Bench) -> None:
    """While the flow was being changed, the attempt had one caller only, which was cancelled."""
    gate = bench.engine.hold("poll_device")
    seat, request = Seat(), bench.session._door.request(("read",), {"flow": "device"})
    one = bench.session._attempts._begun(request, seat)
    assert gate.reached.wait(5)
    choose = one._walk.choose

    def cancelled_meanwhile(*given: Any) -> bool:
        seat.leave()
        return choose(*given)

    one._walk.choose = cancelled_meanwhile  # type: ignore[method-assign]
    thread, outcome = in_a_thread(lambda: bench.session.login("read", flow="paste", force=True))
    until(lambda: one.authorize_url or outcome)
    assert one.state == "waiting"
    one.submit(redirect(str(one.authorize_url)))
    thread.join(5)
    assert outcome[0].username == "ada@example.com"


def test_a_code_that_is_being_redeemed_is_not_dropped_for_another_flow(bench: Bench) -> None:
    """It works only once, so the person had to sign in again."""
    gate = bench.engine.hold("redeem")
    first = bench.session.login("read", flow="paste", background=True)
    assert isinstance(first, SignIn)
    until(lambda: first.authorize_url)
    first.submit(redirect(str(first.authorize_url)))
    assert gate.reached.wait(5)
    bench.session.login("read", flow="device", background=True)
    gate.open()
    assert first.wait(5).username == "ada@example.com"
    assert bench.engine.count("start_device") == 0
