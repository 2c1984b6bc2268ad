"""Several callers of one sign-in, and its callbacks: no caller depends on another's end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    NbAuthError,
    NotSignedIn,
    SignInCancelled,
    SignInExpired,
)
from nbauth.core.interrupted import SignInInterrupted
from nbauth.kernel.arrivals import Arrivals
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import FakeEngine, refusal
from nbauth.testing.screen import RecordingScreen
from tests.kernel.conftest import Bench, in_a_thread, redirect, until


def waiting(bench: Bench, **options: Any) -> SignIn:
    """A sign-in in progress that continues without callers."""
    made = bench.session.login("read", background=True, force=True, **options)
    assert isinstance(made, SignIn)
    return made


# ── one caller's end ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ends", ["the joiner is interrupted", "the beginner is interrupted"])
def test_a_caller_counts_while_the_panel_is_being_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """One of two was still in ``screen.show`` when the other was interrupted: both ended."""
    inside, go_on = threading.Event(), threading.Event()
    real_show, real_wait = RecordingScreen.show, RecordingScreen.wait
    slow = {"the joiner is interrupted": "beginner", "the beginner is interrupted": "joiner"}[ends]

    def show(screen: RecordingScreen, sign_in: Any) -> None:
        real_show(screen, sign_in)
        if threading.current_thread().name == slow:
            inside.set()
            go_on.wait(5)

    def wait(screen: RecordingScreen, sign_in: Any, timeout: float | None = None) -> None:
        if threading.current_thread().name != slow:
            assert inside.wait(5)
            raise KeyboardInterrupt
        real_wait(screen, sign_in, timeout)

    monkeypatch.setattr(RecordingScreen, "show", show)
    monkeypatch.setattr(RecordingScreen, "wait", wait)
    gate = bench.engine.hold("poll_device")
    outcomes: dict[str, list[Any]] = {"beginner": [], "joiner": []}

    def login(name: str) -> None:
        try:
            outcomes[name].append(bench.session.login("read", flow="device"))
        except BaseException as error:
            outcomes[name].append(error)

    threads = []
    for name in ("beginner", "joiner"):
        threads.append(threading.Thread(target=login, args=(name,), name=name))
        threads[-1].start()
        until(lambda name=name: inside.is_set() if name == slow else bench.session.pending())
    quick = "joiner" if slow == "beginner" else "beginner"
    until(lambda: outcomes[quick])
    go_on.set()
    gate.open()
    for thread in threads:
        thread.join(5)
    (interrupted,), (account,) = outcomes[quick], outcomes[slow]
    assert isinstance(interrupted, SignInInterrupted)
    assert interrupted.goes_on
    assert isinstance(account, Account)


def test_a_first_caller_whose_screen_fails_does_not_end_the_others_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, real = threading.Event(), RecordingScreen.show
    gate = bench.engine.hold("poll_device")

    def show(screen: RecordingScreen, sign_in: Any) -> None:
        real(screen, sign_in)
        if threading.current_thread().name == "beginner":
            assert joined.wait(5)
            raise RuntimeError("the front end is gone")

    monkeypatch.setattr(RecordingScreen, "show", show)

    def login() -> None:
        with pytest.raises(RuntimeError):
            bench.session.login("read", flow="device")

    beginner = threading.Thread(target=login, name="beginner")
    beginner.start()
    until(bench.session.pending)
    joiner, outcome = in_a_thread(lambda: bench.session.login("read"))
    until(lambda: bench.session.pending()[0].waiters == 2)
    joined.set()
    beginner.join(5)
    gate.open()
    joiner.join(5)
    assert isinstance(outcome[0], Account)


def test_an_unavailable_flow_of_a_joining_caller_leaves_the_current_flow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def callback(*_: Any) -> None:
        raise FlowUnavailable("There is no Jupyter server here.")

    monkeypatch.setattr(bench.screen, "callback", callback)
    monkeypatch.setattr(bench.screen, "offers", lambda _: False)
    gate = bench.engine.hold("poll_device")
    first, beginner = in_a_thread(lambda: bench.session.login("read", flow="device"))
    until(lambda: bench.session.pending() and bench.session.pending()[0].user_code)
    second, joiner = in_a_thread(lambda: bench.session.login("read", flow="callback"))
    until(lambda: any("Continuing with device" in line for line in bench.screen.said))
    gate.open()
    for thread in (first, second):
        thread.join(5)
    assert isinstance(beginner[0], Account)
    assert beginner == joiner


# ── which requests are the same ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((("read", "write"), {}), (("write", "read"), {})),
        ((("read",), {"account": "ada@example.com"}), (("read",), {"account": "ADA@example.com"})),
        ((("read",), {"login_hint": "ada@x"}), (("read",), {"login_hint": "Ada@X"})),
        ((("read",), {"consent_also": ["a", "b"]}), (("read",), {"consent_also": ["b", "a"]})),
    ],
)
def test_case_and_order_make_no_difference(
    bench: Bench, one: tuple[Any, Any], other: tuple[Any, Any]
) -> None:
    gate = bench.engine.hold("start_device")
    (scopes, options), (others, other_options) = one, other
    first = bench.session.start(*scopes, show=False, **options)
    assert bench.session.start(*others, show=False, **other_options) is first
    gate.open()
    first.cancel()


def test_other_network_settings_make_another_attempt(bench: Bench) -> None:
    gate = bench.engine.hold("start_device")
    first = bench.session.start("read", show=False)
    other = bench.session.start("read", show=False, proxies={"https": "http://proxy.example"})
    assert other is not first
    gate.open()
    first.cancel()
    other.cancel()


def test_a_token_with_claims_does_not_wait_for_a_sign_in_without_them(bench: Bench) -> None:
    claims = '{"access_token": {"nbf": {"essential": true}}}'
    bench.sign_in("read")
    pending = waiting(bench, flow="paste")
    bench.engine.will("refresh", refusal("interaction_required"))
    gate = bench.engine.hold("start_device")
    thread, outcome = in_a_thread(lambda: bench.session.acquire("read", claims=claims))
    assert gate.reached.wait(5)
    asked = [one for one in bench.session.pending() if one is not pending]
    assert asked[0].request.authorization.claims == claims
    pending.cancel()
    asked[0].cancel()
    gate.open()
    thread.join(5)
    assert isinstance(outcome[0], SignInCancelled)


def test_a_call_for_ada_does_not_wait_for_a_sign_in_with_a_hint_for_bob(bench: Bench) -> None:
    pending = waiting(bench, login_hint="bob@example.com", flow="paste")
    with pytest.raises(NbAuthError):
        bench.session.acquire("read", account="ada@example.com", interactive=False)
    assert pending.state == "waiting"
    pending.cancel()


def test_an_old_failure_is_not_raised_after_a_success(bench: Bench) -> None:
    """It was raised hours later, instead of a new sign-in."""
    bench.engine.will("start_device", refusal("access_denied"))
    failed = waiting(bench, flow="device")
    failed.ended.wait(5)
    bench.session.login("read", "write", web_ui=redirect)
    assert not failed.untold
    failed = waiting(bench, flow="paste", account="bob@example.com", timeout=0.01)
    failed.ended.wait(5)
    bench.session.login("read", "more", web_ui=redirect)
    assert failed.untold, "bob's is bob's"


# ── callbacks ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.timing
@pytest.mark.parametrize("what", ["web_ui", "open_browser"])
def test_a_callback_that_never_returns_ends_with_the_time_out(bench: Bench, what: str) -> None:
    never = threading.Event()
    options: dict[str, Any] = {what: lambda _: never.wait(30)}
    if what == "open_browser":
        options["flow"] = "browser"
    began = time.monotonic()
    with pytest.raises(SignInExpired):
        bench.session.login("read", timeout=0.2, **options)
    assert time.monotonic() - began < 5
    never.set()


def test_a_blocking_browser_command_does_not_stop_the_response(bench: Bench) -> None:
    closed = threading.Event()
    sign_in = waiting(bench, flow="browser", open_browser=lambda _: closed.wait(30))
    until(lambda: sign_in.authorize_url)
    sign_in.submit(redirect(str(sign_in.authorize_url)))
    assert isinstance(sign_in.wait(5), Account)
    closed.set()


@pytest.mark.parametrize("call", ["acquire", "login"])
@pytest.mark.parametrize("what", ["web_ui", "observer"])
def test_a_callback_that_would_wait_for_its_own_sign_in_gets_an_error(
    bench: Bench, what: str, call: str
) -> None:
    errors: list[BaseException] = []

    def ask(asks: object) -> str:
        if isinstance(asks, SignIn) and asks.state != "waiting":
            return ""  # another sign-in may begin here
        try:
            if call == "login":
                bench.session.login("read", web_ui=ask if what == "web_ui" else None)
            bench.session.acquire("read")
        except BaseException as error:
            errors.append(error)
            raise
        return ""

    options: dict[str, Any] = {"flow": "paste"} if what == "observer" else {"web_ui": ask}
    gate = bench.engine.hold("authorize")
    thread, outcome = in_a_thread(lambda: bench.session.login("read", timeout=0.5, **options))
    until(bench.session.pending)
    if what == "observer":
        bench.session.pending()[0].changed.connect(ask)
    gate.open()
    thread.join(5)
    assert isinstance(outcome[0], ConfigurationError if what == "web_ui" else SignInExpired)
    until(lambda: errors)
    assert isinstance(errors[0], ConfigurationError)
    assert len(errors) < 5


# ── a sign-out during a sign-in ─────────────────────────────────────────────────────────────


def test_a_sign_out_while_tokens_arrive_cancels_the_sign_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = bench.session._stored.keep

    def late(*given: Any) -> bool:
        bench.session.logout(all=True)
        return keep(*given)

    monkeypatch.setattr(bench.session._stored, "keep", late)
    with pytest.raises(SignInCancelled, match="signed out"):
        bench.session.login("read", web_ui=redirect)
    assert bench.session.accounts() == []
    assert bench.engine.live == {}


def test_an_interrupt_while_tokens_arrive_reports_that_the_sign_in_continues(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on, accept = threading.Event(), threading.Event(), Arrivals.accept

    def slow(*given: Any) -> Account:
        inside.set()
        go_on.wait(5)
        return accept(*given)

    def wait(*_: Any) -> None:
        assert inside.wait(5)
        raise KeyboardInterrupt

    monkeypatch.setattr(Arrivals, "accept", slow)
    monkeypatch.setattr(bench.screen, "wait", wait)
    with pytest.raises(SignInInterrupted) as caught:
        bench.session.login("read", web_ui=redirect)
    assert caught.value.goes_on
    go_on.set()
    until(bench.session.accounts)


def test_a_cancelled_sign_ins_revocation_is_not_aborted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    aborted: list[int] = []
    monkeypatch.setattr(FakeEngine, "abort", lambda _: aborted.append(1))
    revoke, gate = bench.engine.hold("revoke"), bench.engine.hold("poll_device")
    sign_in = waiting(bench, flow="device")
    assert gate.reached.wait(5)
    canceller, _ = in_a_thread(sign_in.cancel)
    until(lambda: sign_in.state == "cancelled")
    gate.open()
    assert revoke.reached.wait(5)
    canceller.join(5)
    revoke.open()
    until(lambda: not bench.engine.live)
    assert aborted == []


@pytest.mark.parametrize("how", ["bare", "of another client", "all of a client"])
def test_a_sign_out_ends_the_sign_ins_of_its_accounts(bench: Bench, how: str) -> None:
    bench.sign_in("read", user="ada")
    bobs = waiting(bench, account="bob@example.com", flow="paste")
    anybodys = waiting(bench, flow="paste")
    if how == "bare":
        bench.session.logout()
        assert (bobs.state, anybodys.state) == ("waiting", "cancelled")
    elif how == "all of a client":
        other = bench.session.login("read", web_ui=redirect, client_id="other")
        bench.session.logout(all=True, client_id="notebooks")
        assert (bobs.state, anybodys.state) == ("cancelled", "cancelled")
        assert bench.session.accounts() == [other]
    else:
        bench.session.logout(client_id="other")
        assert (bobs.state, anybodys.state) == ("waiting", "waiting")
    for one in (bobs, anybodys):
        one.cancel()


def test_a_sign_out_of_a_pending_account_ends_its_sign_in(bench: Bench) -> None:
    pending = waiting(bench, account="ada@example.com", flow="paste")
    assert bench.session.logout("ADA@example.com") == []
    assert pending.state == "cancelled"
    with pytest.raises(NotSignedIn):
        bench.session.logout("ada@example.com")


# ── already signed in ───────────────────────────────────────────────────────────────────────


def test_scopes_that_were_not_granted_are_requested_again(bench: Bench) -> None:
    granted = bench.session.client().scopes(("read", "openid"))
    bench.engine.will("redeem", bench.engine.response(granted))
    bench.session.login("read", "write", web_ui=redirect)
    assert bench.session.login("read") == bench.session.accounts()[0]
    assert bench.engine.count("redeem") == 1
    pending = bench.session.login("read", "write", background=True, flow="paste")
    assert isinstance(pending, SignIn), "it reported: Already signed in"
    pending.cancel()


def test_a_login_for_a_signed_in_account_makes_it_current(
    bench: Bench,
) -> None:
    bench.sign_in("read", user="bob")
    bench.sign_in("read", user="ada")
    bench.session.login("read", account="bob@example.com")
    assert bench.session.acquire("read").account.username == "bob@example.com"


OTHER = {"client_id": "another"}


def about_to_sign_in(bench: Bench, name: str, **options: Any) -> SignIn:
    bench.screen.known_ways = ("paste",)
    begun = bench.session.login("read", background=True, account=name, **options)
    assert isinstance(begun, SignIn)
    return begun


def test_a_sign_out_of_an_account_ends_no_sign_in_at_another_client(bench: Bench) -> None:
    account = bench.sign_in("read")
    bench.session.logout(account)
    other = about_to_sign_in(bench, account.username, **OTHER)
    for asked in (account, account.key):
        with pytest.raises(NotSignedIn):
            bench.session.logout(asked)
    assert other.state == "waiting"
    assert bench.session.logout(account.username, **OTHER) == []
    assert other.state == "cancelled"


def test_a_name_that_signs_in_at_two_clients_is_refused(bench: Bench) -> None:
    both = [about_to_sign_in(bench, "ada@example.com", **options) for options in ({}, OTHER)]
    with pytest.raises(ConfigurationError, match="several clients") as caught:
        bench.session.logout("ada@example.com")
    assert caught.value.code == "ambiguous_account"
    assert [one.state for one in both] == ["waiting", "waiting"]
    bench.session.logout(all=True)


@pytest.mark.parametrize("call", ["login", "acquire"])
def test_a_call_that_joins_after_a_sign_out_is_signed_in(bench: Bench, call: str) -> None:
    account = bench.sign_in("read")
    bench.screen.known_ways = ("paste",)
    sign_in = bench.session.login("write", background=True, force=True)
    assert isinstance(sign_in, SignIn)
    until(lambda: sign_in.authorize_url)
    bench.session.logout(account)
    assert sign_in.state == "waiting"
    calls = {
        "login": lambda: bench.session.login("write"),
        "acquire": lambda: bench.session.acquire("write").account,
    }
    thread, outcome = in_a_thread(calls[call])
    until(lambda: sign_in.waiters)
    sign_in.submit(redirect(str(sign_in.authorize_url)))
    thread.join(5)
    assert outcome == [account]


def test_a_notice_that_cannot_be_shown_is_no_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = bench.sign_in("read")

    def gone(_: str) -> None:
        raise OSError("broken pipe")

    monkeypatch.setattr(bench.screen, "say", gone)
    assert bench.session.login("read") == account


@pytest.mark.parametrize("options", [{"all": True}, {"all": True, **OTHER}, {}, OTHER])
def test_a_sign_out_of_all_refuses_a_first_sign_in_whose_tokens_are_arriving(
    bench: Bench, options: dict[str, Any]
) -> None:
    destination, inside = bench.session._attempts._destination, threading.Event()
    accept, go_on = destination.accept, threading.Event()

    def slowly(*given: Any) -> Account:
        inside.set()
        go_on.wait(5)
        return accept(*given)

    destination.accept = slowly  # type: ignore[method-assign]
    client = {name: value for name, value in options.items() if name in OTHER}
    thread, outcome = in_a_thread(lambda: bench.session.login("read", web_ui=redirect, **client))
    assert inside.wait(5)
    bench.session.logout(**options)
    go_on.set()
    thread.join(5)
    assert isinstance(outcome[0], SignInCancelled)
    assert bench.session.accounts() == []
    destination.accept = accept  # type: ignore[method-assign]
    assert bench.session.login("read", web_ui=redirect, **client), "a later one is not refused"
