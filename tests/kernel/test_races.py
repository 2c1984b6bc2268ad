"""Races: one thread acts while another is in the middle of something."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nbauth.core.account import AccountKey
from nbauth.core.errors import ConfigurationError, NotSignedIn
from nbauth.core.interrupts import apart
from nbauth.kernel.calls import refusals
from nbauth.kernel.calls.refusals import Refusals
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import ISSUER, unreachable
from tests.kernel.conftest import Bench, in_a_thread, until

ADA = AccountKey(ISSUER, "notebooks", "ada")


def begun(bench: Bench, **options: Any) -> SignIn:
    sign_in = bench.session.login("read", background=True, force=True, **options)
    assert isinstance(sign_in, SignIn)
    return sign_in


def spent(bench: Bench) -> tuple[threading.Event, threading.Event]:
    """For the next refreshes: set when the provider has used the refresh token; lets it reply."""
    answered, go_on = threading.Event(), threading.Event()
    refreshed = bench.engine._refreshed

    def refresh(*given: Any) -> Any:
        response = refreshed(*given)
        answered.set()
        go_on.wait(5)
        return response

    bench.engine._refreshed = refresh  # type: ignore[method-assign]
    return answered, go_on


# ── an interrupt ────────────────────────────────────────────────────────────────────────────


def test_an_interrupt_loses_no_rotating_refresh_token(bench: Bench) -> None:
    """The provider has it when the interrupt comes; its response is used all the same."""
    bench.sign_in("read")
    bench.clock.advance(4000)
    answered, go_on = spent(bench)

    def interrupt() -> None:
        answered.wait(5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        bench.read("read")
    go_on.set()
    assert bench.read("read") == "access-ada-2"
    bench.clock.advance(4000)
    assert bench.read("read") == "access-ada-3"
    assert bench.engine.reused == []


def as_runtime_error(call: Callable[..., Any]) -> Callable[..., Any]:
    """Interrupted inside, in the form in which CPython's ``Event.wait`` reports it; once."""
    calls: list[int] = []

    def called(*given: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            return call(*given, **options)
        try:
            call(*given, **options)
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")

    return called


@pytest.mark.parametrize("where", ["start", "wait"])
def test_an_interrupt_of_a_sign_in_is_recognised_in_any_form(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    bench.engine.hold("poll_device")
    owner, name = {"start": (threading.Thread, "start"), "wait": (bench.screen, "wait")}[where]
    if where == "wait":
        monkeypatch.setattr(bench.screen, "wait", lambda *_: None)
    monkeypatch.setattr(owner, name, as_runtime_error(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt):
        bench.session.login("read")
    (sign_in,) = bench.screen.shown
    assert sign_in.state == "cancelled"


def test_an_interrupt_of_a_refresh_is_recognised_in_any_form(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.session.configure(refresh_ahead=False)
    bench.sign_in("read")
    bench.session.rest()
    bench.clock.advance(4000)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", as_runtime_error(threading.Thread.start))
        with pytest.raises(KeyboardInterrupt):
            bench.read("read")
    assert bench.read("read") == "access-ada-2"
    assert bench.refreshes == 1


def test_work_apart_from_interrupts_returns_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert apart(lambda: threading.current_thread().name) == "nbauth-apart"
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        apart(lambda: (_ for _ in ()).throw(SystemExit()))
    thread, name = in_a_thread(lambda: apart(lambda: threading.current_thread().name))
    thread.join(5)
    assert name == [thread.name], "no other thread is interrupted"

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert apart(lambda: 7) == 7


# ── a sign-out ──────────────────────────────────────────────────────────────────────────────


def test_a_sign_out_while_another_thread_switches_to_the_account(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.sign_in("read", user="bob")
    ada = bench.sign_in("read", user="ada")

    def the_one(*_: Any) -> AccountKey:
        bench.session._accounts.sign_out([ada.key], revoke=False, forget=False)
        return ada.key

    monkeypatch.setattr(bench.session._accounts, "the_one", the_one)
    with pytest.raises(NotSignedIn):
        bench.session.use("ada@example.com")
    monkeypatch.undo()
    assert bench.read("read").startswith("access-bob-"), "a signed-out account is not current"


def test_a_late_refresh_does_not_end_a_later_sign_in(bench: Bench) -> None:
    bench.sign_in("read")
    turn = bench.session._account_locks.of(ADA)
    with turn:
        thread, outcome = in_a_thread(lambda: bench.read("read", force_refresh=True))
        until(lambda: bench.flights._under_way)
        bench.session.logout()
        gate = bench.engine.hold("poll_device")
        sign_in = begun(bench)
        until(gate.reached.is_set)
    thread.join(5)
    assert isinstance(outcome[0], NotSignedIn)
    gate.open()
    assert sign_in.wait(5).key == ADA
    assert bench.read("read")


@pytest.mark.parametrize("trouble", [None, unreachable()])
def test_the_result_of_a_refresh_after_a_revocation_is_revoked_too(
    bench: Bench, trouble: Exception | None
) -> None:
    bench.sign_in("read")
    bench.clock.advance(4000)
    answered, go_on = spent(bench)
    thread, outcome = in_a_thread(lambda: bench.read("read"))
    answered.wait(5)
    bench.session.logout(revoke=True)
    bench.engine.will("revoke", trouble)
    go_on.set()
    thread.join(5)
    assert isinstance(outcome[0], NotSignedIn)
    assert bench.engine.count("revoke") == 2
    assert trouble or bench.engine.live == {}


def test_a_revocation_after_the_response_revokes_the_newest_refresh_token(bench: Bench) -> None:
    """The response comes when the account has left the cache and its grants are still there."""
    bench.sign_in("read")
    record = bench.session.cache.signed_in[ADA]
    bench.session.cache.remove(ADA)
    asked = bench.session.client().scopes(("read",))
    grant, response = record.grants[0], bench.engine.response(asked)
    assert bench.session.cache.refreshed(ADA, response, asked, grant, record.client) is None
    grant.revoke(bench.engine)
    assert bench.engine.calls[-1].arguments["refresh_token"] == str(response.refresh_token)


@pytest.mark.parametrize("trouble", [None, unreachable()])
@pytest.mark.parametrize("end", ["signed out", "cancelled"])
def test_tokens_that_arrive_too_late_are_revoked(
    bench: Bench, end: str, trouble: Exception | None
) -> None:
    bench.sign_in("read")
    before = dict(bench.engine.live)
    answered, go_on = threading.Event(), threading.Event()

    def answer() -> None:
        answered.set()
        go_on.wait(5)

    bench.engine.will("poll_device", answer).will("revoke", trouble)
    sign_in = begun(bench)
    answered.wait(5)
    if end == "signed out":
        bench.session.logout("ada@example.com")
    else:
        sign_in.cancel()
    go_on.set()
    until(lambda: not sign_in._thread.is_alive())
    assert sign_in.state == "cancelled"
    assert bench.engine.count("revoke") == 1
    assert trouble or bench.engine.live == before


def test_the_only_current_account_may_go_at_any_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client's account is signed out during a sign-out without a name."""

    class Gone(dict[Any, Any]):
        def __len__(self) -> int:
            return 1

    bench.session.cache.current = Gone()
    assert bench.session.logout() == []


# ── a sign-in in progress ───────────────────────────────────────────────────────────────────


def test_joining_a_sign_in_that_just_ended_begins_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.engine.hold("poll_device")
    first = begun(bench, flow="device")

    def switch(flow: str) -> None:
        first.cancel()
        raise ConfigurationError("This sign-in has already ended.", code="not_waiting")

    monkeypatch.setattr(first, "switch", switch)
    second = begun(bench, flow="paste")
    assert second is not first
    assert (first.state, second.state) == ("cancelled", "waiting")
    second.cancel()


def test_the_engine_of_one_that_was_not_needed_is_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    for_sign_in = bench.session._engines.for_sign_in

    def make(client: Any) -> Any:
        bench.engines.clear()
        made.append(for_sign_in(client))
        return made[-1]

    monkeypatch.setattr(bench.session._engines, "for_sign_in", make)
    monkeypatch.setattr("nbauth.oauth.flows.device_code.SHORTEST_INTERVAL", 60)
    first = begun(bench)
    assert begun(bench) is first
    assert [engine.closed for engine in made] == [0, 1]
    first.cancel()
    until(lambda: [engine.closed for engine in made] == [1, 1])


def test_the_first_token_fixes_the_account_once(bench: Bench) -> None:
    """Two threads request a token while nobody is signed in, and two people sign in."""
    bound = bench.session.bind()
    scopes = bound.client.scopes(("read",))
    ada = bench.sign_in("read", user="ada")
    tokens, asked = bench.session._tokens, []
    get = tokens.get

    def meanwhile(need: Any) -> Any:
        asked.append(need.asked)
        if len(asked) == 1:
            bench.sign_in("read", user="bob", force=True)
            result = get(need)
            bound._settles(get(need._replace(asked=ada.key)))  # the other thread comes first
            return result
        return get(need)

    tokens.get = meanwhile  # type: ignore[method-assign]
    assert bound.get(scopes).account.key == ada.key
    assert asked == [None, ada.key]


# ── what is remembered ──────────────────────────────────────────────────────────────────────


def test_refusals_remember_no_token_and_a_limited_number_of_hosts() -> None:
    remembered = Refusals()
    for number in range(3 * refusals.MOST):
        where = (f"host-{number}.example", ADA, frozenset({"read"}))
        remembered.trying(where, f"access-{number}")
        assert remembered.pass_on(where, f"access-{number}")
    assert "access-" not in repr(vars(remembered))
    assert len(remembered._tried) == len(remembered._until) == refusals.MOST
    assert remembered.pass_on(where, "whichever")
