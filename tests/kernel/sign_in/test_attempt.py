"""Sign-ins of a session: shown, joined, cancelled, expired, completed by hand."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    SignInCancelled,
    SignInDeclined,
    SignInError,
    SignInExpired,
)
from nbauth.core.interrupted import SignInInterrupted
from nbauth.core.steps import Asking
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.kernel.sign_in.driver import Driver
from nbauth.testing.engine import PENDING, SLOW_DOWN, refusal, unreachable
from tests.kernel.conftest import Bench, redirect, until


def begun(bench: Bench, *scopes: str, **options: Any) -> SignIn:
    """A background sign-in that waits for the person."""
    sign_in = bench.session.login(*(scopes or ("read",)), background=True, **options)
    assert isinstance(sign_in, SignIn)
    until(lambda: not isinstance(sign_in.step, Asking))
    return sign_in


def endless(bench: Bench) -> Bench:
    bench.engine.will("poll_device", *[PENDING] * 10_000)
    return bench


def ended_well(sign_in: SignIn, within: float = 1.0) -> None:
    """Check that its thread and port are gone."""
    until(lambda: not sign_in._thread.is_alive(), within)
    assert sign_in._walk.driver._receiver is None
    assert sign_in.user_code is None
    assert sign_in.verification_uri is None
    assert sign_in.authorize_url is None


# ── the two flows ───────────────────────────────────────────────────────────────────────────


def test_a_device_sign_in_shows_its_code_while_it_waits(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    sign_in = begun(bench)
    assert sign_in.flow == "device"
    assert sign_in.user_code == "WXYZ-1234"
    assert sign_in.verification_uri == "https://id.example/device"
    assert "WXYZ-1234" in sign_in.message
    assert sign_in.expires_in is not None
    assert 590 < sign_in.expires_in <= 600
    gate.open()
    assert sign_in.wait(5).username == "ada@example.com"
    assert sign_in.state == "done"
    ended_well(sign_in)
    assert "WXYZ" not in repr(sign_in) + sign_in.message
    assert bench.session.acquire("read").source == "cache"


def test_a_device_sign_in_survives_a_network_outage(bench: Bench) -> None:
    bench.engine.will("poll_device", PENDING, unreachable(), PENDING)
    assert begun(bench).wait(5)
    assert bench.engine.count("poll_device") == 4


def test_a_browser_sign_in_takes_the_redirect_at_its_own_port(bench: Bench) -> None:
    bench.screen.known_ways = ("browser", "device")
    sign_in = begun(bench)
    assert sign_in.flow == "browser"
    assert sign_in.authorize_url is not None
    with urlopen(redirect(sign_in.authorize_url, code="c-9"), timeout=5) as page:
        assert b"You are signed in" in page.read()
    assert sign_in.wait(5).name == "Ada"
    assert bench.engine.calls[-1].arguments["answer"]["code"] == "c-9"
    ended_well(sign_in)


def test_the_page_reports_a_failure_only_after_the_code_was_redeemed(bench: Bench) -> None:
    bench.engine.will("redeem", refusal("invalid_grant", "<b>The code</b> is used up."))
    sign_in = begun(bench, flow="browser")
    assert sign_in.authorize_url is not None
    with urlopen(redirect(sign_in.authorize_url), timeout=5) as page:
        text = page.read()
    assert b"Not signed in" in text
    assert b"&lt;b&gt;The code&lt;/b&gt; is used up." in text
    assert sign_in.state == "failed"


@pytest.mark.parametrize("success", [True, False])
def test_the_pages_of_the_settings_are_shown(bench: Bench, success: bool) -> None:
    if not success:
        bench.engine.will("redeem", refusal("invalid_grant"))
    sign_in = begun(bench, flow="browser", success_page="Well done.", error_page="Oh dear.")
    assert sign_in.authorize_url is not None
    with urlopen(redirect(sign_in.authorize_url), timeout=5) as page:
        assert (b"Well done." if success else b"Oh dear.") in page.read()


def test_a_callable_opens_the_browser(bench: Bench) -> None:
    opened: list[str] = []
    sign_in = begun(bench, flow="browser", open_browser=opened.append)
    until(lambda: opened == [sign_in.authorize_url])
    sign_in.cancel()


def test_the_browser_flow_does_not_use_a_jupyter_servers_redirect_uri(bench: Bench) -> None:
    """It is set for the callback flow; the browser flow still uses loopback."""
    hub = "https://hub.example/hub/user-redirect/nbauth/callback"
    sign_in = begun(bench, flow="browser", redirect_uri=hub)
    assert "redirect_uri=http://127.0.0.1:" in (sign_in.authorize_url or "")
    sign_in.cancel()


def test_a_redirect_uri_is_used_as_registered(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sign_in = begun(bench, flow="browser", redirect_uri=f"http://127.0.0.1:{port}/cb")
    assert f"redirect_uri=http://127.0.0.1:{port}/cb" in (sign_in.authorize_url or "")
    sign_in.cancel()


@pytest.mark.parametrize("code", ["access_denied", "odd words <b>", "x" * 500])
def test_an_error_response_without_state_is_shown_once_and_the_sign_in_continues(
    bench: Bench, code: str
) -> None:
    """Anyone can send one, so the sign-in shows the known error code only."""
    sign_in = begun(bench, flow="browser")
    address = sign_in.authorize_url
    assert address is not None
    place = redirect(address).partition("?")[0]
    for words in (code, "server_error"):
        query = urlencode({"error": words, "error_description": "Call 555-0100 now"})
        with pytest.raises(HTTPError) as shown:
            urlopen(f"{place}?{query}", timeout=5)
        assert b"Call 555-0100 now" in shown.value.read()
    until(lambda: "this sign-in continues" in sign_in.message)
    assert ("access_denied" in sign_in.message) == (code == "access_denied")
    assert "555" not in sign_in.message
    assert "odd words" not in sign_in.message
    assert "server_error" not in sign_in.message
    assert (sign_in.state, sign_in.authorize_url) == ("waiting", address)
    assert bench.screen.said == []
    with urlopen(redirect(address), timeout=5) as page:
        assert b"You are signed in" in page.read()
    assert sign_in.wait(5).name == "Ada"


# ── joining and replacing ───────────────────────────────────────────────────────────────────


def test_a_second_login_joins_the_first(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    first = begun(bench)
    assert bench.session.login("read", background=True) is first
    assert bench.session.start("read", flow="device") is first
    assert bench.session.pending() == [first]
    gate.open()
    assert first.wait(5)
    assert bench.engine.count("start_device") == 1
    assert len(bench.screen.shown) == 1
    assert bench.session.pending() == []


def test_other_scopes_are_another_sign_in(bench: Bench) -> None:
    endless(bench)
    first, second = begun(bench, "read"), begun(bench, "write")
    assert first is not second
    assert len(bench.session.pending()) == 2
    bench.session.logout(all=True)
    assert (first.state, second.state) == ("cancelled", "cancelled")


def test_another_flow_changes_the_pending_sign_in_and_callers_keep_waiting(bench: Bench) -> None:
    endless(bench)
    first = begun(bench, flow="device")
    second = bench.session.login("read", background=True, flow="browser")
    assert second is first
    until(lambda: first.authorize_url)
    assert (first.flow, first.state) == ("browser", "waiting")
    assert bench.session.pending() == [first]
    first.submit(redirect(first.authorize_url or ""))
    assert first.wait(5)


def test_a_call_that_needs_a_token_waits_for_the_pending_sign_in(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    begun(bench)
    threading.Timer(0.05, gate.open).start()
    assert bench.session.acquire("read").source == "cache"
    assert bench.engine.count("start_device") == 1


def test_a_non_interactive_call_uses_the_present_account(bench: Bench) -> None:
    bench.sign_in("read")
    endless(bench)
    pending = begun(bench, force=True)
    assert bench.read("read", interactive=False) == "access-ada-1"
    pending.cancel()


# ── errors ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("access_denied"), SignInDeclined),
        (refusal("expired_token"), SignInExpired),
        (refusal("odd", "Its own words."), SignInError),
        (ZeroDivisionError("oops"), SignInError),
    ],
)
def test_an_error_is_raised_in_the_waiting_call(
    bench: Bench, error: Exception, kind: type[SignInError]
) -> None:
    bench.engine.will("poll_device", PENDING, error)
    with pytest.raises(kind) as caught:
        bench.session.login("read")
    assert caught.value.hint
    assert bench.screen.shown[0].state == "failed"
    assert bench.session.accounts() == []
    assert bench.session.cache.tokens == {}


def test_an_unforeseen_error_keeps_its_cause(bench: Bench) -> None:
    bench.engine.will("start_device", ZeroDivisionError("oops"))
    with pytest.raises(SignInError, match="oops") as caught:
        bench.session.login("read")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("when", ["while it waits", "before it asks"])
def test_a_background_error_surfaces_at_the_next_call_that_needs_the_sign_in(
    bench: Bench, when: str
) -> None:
    gate = bench.engine.hold("poll_device", then=refusal("access_denied"))
    sign_in = begun(bench)
    if when == "before it asks":
        gate.open()
        sign_in.ended.wait(5)
    else:
        threading.Timer(0.03, gate.open).start()
    assert bench.session.accounts() == []
    with pytest.raises(SignInDeclined):
        bench.read("read")
    assert isinstance(sign_in.error, SignInDeclined)
    assert bench.read("read") == "access-ada-1", "after the error was raised, a new sign-in begins"


def test_a_background_error_does_not_affect_calls_that_do_not_need_the_sign_in(
    bench: Bench,
) -> None:
    bench.sign_in("read")
    bench.engine.will("poll_device", refusal("access_denied"))
    failed = begun(bench, force=True)
    failed.ended.wait(5)
    assert bench.read("read") == "access-ada-1"


def test_an_error_is_raised_once(bench: Bench) -> None:
    bench.engine.will("poll_device", refusal("access_denied"))
    with pytest.raises(SignInDeclined):
        bench.session.login("read")
    assert bench.read("read") == "access-ada-1"


def test_after_a_cancelled_background_sign_in_a_new_one_begins(bench: Bench) -> None:
    endless(bench)
    begun(bench).cancel()
    bench.engine._script["poll_device"].clear()
    assert bench.read("read") == "access-ada-1"


# ── cancelling, time-outs ───────────────────────────────────────────────────────────────────


@pytest.mark.timing
@pytest.mark.parametrize("flow", ["device", "browser"])
def test_cancelling_leaves_no_thread_and_no_port(bench: Bench, flow: str) -> None:
    endless(bench)
    sign_in = begun(bench, flow=flow)
    port = urlsplit(sign_in.authorize_url or "").query.partition("localhost:")[2]
    uri = (sign_in.authorize_url or "").partition("redirect_uri=")[2].partition("&")[0]
    began = time.monotonic()
    sign_in.cancel()
    assert sign_in.state == "cancelled"
    ended_well(sign_in)
    assert time.monotonic() - began < 1
    with pytest.raises(SignInCancelled):
        sign_in.wait(0)
    if uri:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", urlsplit(uri).port or int(port)), timeout=1)
    sign_in.cancel()
    assert bench.session.pending() == []


@pytest.mark.timing
@pytest.mark.parametrize(
    ("method", "flow"),
    [
        ("start_device", "device"),
        ("poll_device", "device"),
        ("authorize", "browser"),
        ("redeem", "browser"),
    ],
)
def test_cancelling_aborts_a_hanging_request(bench: Bench, method: str, flow: str) -> None:
    gate = bench.engine.hold(method)
    sign_in = bench.session.login("read", background=True, flow=flow)
    assert isinstance(sign_in, SignIn)
    if method == "redeem":
        until(lambda: sign_in.authorize_url)
        sign_in.submit(redirect(sign_in.authorize_url or ""))
    until(gate.reached.is_set)
    began = time.monotonic()
    sign_in.cancel()
    ended_well(sign_in)
    assert time.monotonic() - began < 1
    assert sign_in.state == "cancelled"
    assert bench.engine.count("abort") == 1
    assert bench.session.accounts() == []


def test_a_response_after_cancelling_signs_nobody_in(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    sign_in = begun(bench)
    until(gate.reached.is_set)
    threading.Timer(0.05, gate.open).start()  # before the request is aborted
    sign_in.cancel()
    ended_well(sign_in)
    assert sign_in.state == "cancelled"
    assert bench.session.accounts() == []


def test_cancelling_from_an_observer_does_not_deadlock(bench: Bench) -> None:
    endless(bench)
    bench.screen.person = lambda sign_in: sign_in.changed.connect(lambda changed: changed.cancel())
    with pytest.raises(SignInCancelled):
        bench.session.login("read")


@pytest.mark.parametrize(
    ("stop", "raised"),
    [
        (KeyboardInterrupt, SignInInterrupted),
        (asyncio.CancelledError, asyncio.CancelledError),  # a plain %login in a cell that awaits
    ],
)
def test_an_interrupt_cancels(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException],
    raised: type[BaseException],
) -> None:
    def interrupted(sign_in: SignIn, timeout: float | None = None) -> None:
        raise stop

    endless(bench)
    monkeypatch.setattr(bench.screen, "wait", interrupted)
    with pytest.raises(raised):
        bench.session.login("read")
    assert bench.screen.shown[0].state == "cancelled"


@pytest.mark.parametrize("flow", ["device", "browser"])
def test_a_time_out_ends_it(bench: Bench, flow: str) -> None:
    endless(bench)
    with pytest.raises(SignInExpired):
        bench.session.login("read", flow=flow, timeout=0.05)
    ended_well(bench.screen.shown[0])


def test_a_device_codes_lifetime_limits_a_longer_time_out(bench: Bench) -> None:
    endless(bench)
    bench.engine.code_lifetime = 0.05
    with pytest.raises(SignInExpired):
        bench.session.login("read", timeout=60)


def test_wait_with_a_time_out_leaves_the_sign_in_pending(bench: Bench) -> None:
    endless(bench)
    sign_in = begun(bench)
    with pytest.raises(SignInExpired, match="not ended yet"):
        sign_in.wait(0.02)
    assert sign_in.state == "waiting"
    sign_in.cancel()


def test_slow_down_is_heeded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    bench.engine.will("poll_device", SLOW_DOWN)
    monkeypatch.setattr(Driver, "pause", lambda self, seconds: pauses.append(seconds))
    bench.session.login("read", flow="device")
    assert pauses[-2:] == [pytest.approx(0.01), pytest.approx(5.01)]


# ── awaiting ────────────────────────────────────────────────────────────────────────────────


def test_login_can_be_awaited(bench: Bench) -> None:
    account = asyncio.run(bench.session.login_async("read"))
    assert account.username == "ada@example.com"
    assert asyncio.run(bench.session.login_async("read")) == account
    assert bench.engine.count("start_device") == 1


def test_a_sign_in_can_be_awaited(bench: Bench) -> None:
    sign_in = begun(bench)

    async def wait() -> Account:
        return await sign_in

    assert asyncio.run(wait()).name == "Ada"


def test_cancelling_the_task_cancels_the_sign_in(bench: Bench) -> None:
    endless(bench)

    async def wait() -> None:
        task = asyncio.create_task(bench.session.login_async("read"))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(wait())
    assert bench.screen.shown[0].state == "cancelled"
    ended_well(bench.screen.shown[0])


# ── a web_ui ────────────────────────────────────────────────────────────────────────────────


def test_a_web_ui_signs_in_without_a_screen_or_a_port(bench: Bench) -> None:
    seen: list[str] = []

    def web_ui(url: str) -> str:
        seen.append(url)
        return redirect(url, code="from-web-ui")

    account = bench.session.login("read", web_ui=web_ui)
    assert isinstance(account, Account)
    assert len(seen) == 1
    assert bench.screen.shown == []
    assert bench.engine.calls[-1].arguments["answer"]["code"] == "from-web-ui"


@pytest.mark.parametrize(
    ("web_ui", "code"),
    [
        (lambda url: 1 / 0, "web_ui_failed"),
        (lambda url: redirect(url, state="another"), "state_mismatch"),
        (lambda url: redirect(url).partition("?")[0], "bad_answer"),
        (lambda url: "http://[broken", "bad_answer"),
        (lambda url: "", "bad_answer"),
        (lambda url: None, "web_ui_failed"),
        (lambda url: redirect(url, iss="https://evil.example"), "issuer_mismatch"),
        (lambda url: redirect(url).replace("code=c-1", "error=access_denied"), "access_denied"),
    ],
)
def test_a_failing_web_ui_is_a_clear_error(
    bench: Bench, web_ui: Callable[[str], Any], code: str
) -> None:
    with pytest.raises((SignInError, ConfigurationError)) as caught:
        bench.session.login("read", web_ui=web_ui)
    assert caught.value.code == code
    assert caught.value.hint
    assert bench.engine.count("redeem") == 0
    assert bench.session.accounts() == []


# ── handing an address in ───────────────────────────────────────────────────────────────────


def state_of(sign_in: SignIn) -> str:
    return (sign_in.authorize_url or "").partition("state=")[2]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (lambda state: f"http://localhost:5/?code=c-2&state={state}", "c-2"),
        (lambda state: f"  http://localhost:5/?state={state}&code=c%202%2B\n", "c 2+"),
        (lambda state: f"?code=c-2&state={state}", "c-2"),
        (lambda state: f"localhost:5/?code=c-2&state={state}#_=_", "c-2"),
        (lambda state: f"127.0.0.1/cb?iss=https://id.example&code=c-2&state={state}", "c-2"),
        (lambda state: f'"http://localhost:5/?code=c-2&state={state}"', "c-2"),
        (lambda state: f"'?code=c-2&state={state}'", "c-2"),
        (lambda state: f" <http://localhost:5/?code=c-2&state={state}> ", "c-2"),
        (lambda state: f"code=c-2&state={state}", "c-2"),
        (lambda state: "c-2", "c-2"),
        (lambda state: " 0.AXkA_x-y~z ", "0.AXkA_x-y~z"),
        (lambda state: "M.C543/abc+def==", "M.C543/abc+def=="),
    ],
)
def test_what_can_be_handed_in(bench: Bench, form: Callable[[str], str], code: str) -> None:
    sign_in = begun(bench, flow="browser")
    sign_in.submit(form(state_of(sign_in)))
    assert sign_in.wait(5)
    assert bench.engine.calls[-1].arguments["answer"]["code"] == code


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (lambda state: "http://localhost:5/?code=c&state=another", "state_mismatch"),
        (lambda state: "http://localhost:5/?code=c", "state_mismatch"),
        (lambda state: f"http://localhost:5/?code=c&state={state[:-1]}", "state_mismatch"),
        (lambda state: "http://localhost:5/", "bad_answer"),
        (lambda state: f"http://localhost:5/#code=c&state={state}", "bad_answer"),
        (lambda state: "localhost:5/?code=c&state=another", "state_mismatch"),
        (lambda state: f"http://localhost:5/?state={state}", "bad_answer"),
        (lambda state: f"state={state}", "bad_answer"),
        (lambda state: "", "bad_answer"),
        (lambda state: "   ", "bad_answer"),
        (lambda state: "two words", "bad_answer"),
        (lambda state: "https://[x", "bad_answer"),
        (lambda state: f"code=a&code=b&state={state}", "bad_answer"),
    ],
)
def test_what_is_refused_can_be_corrected(
    bench: Bench, form: Callable[[str], str], code: str
) -> None:
    sign_in = begun(bench, flow="browser")
    with pytest.raises(ConfigurationError) as caught:
        sign_in.submit(form(state_of(sign_in)))
    assert caught.value.code == code
    assert sign_in.state == "waiting"
    sign_in.submit("c-2")
    assert sign_in.wait(5)


def test_an_error_can_be_handed_in(bench: Bench) -> None:
    sign_in = begun(bench, flow="browser")
    sign_in.submit(f"?error=access_denied&state={state_of(sign_in)}")
    with pytest.raises(SignInDeclined):
        sign_in.wait(5)


def test_nothing_can_be_handed_in_where_nothing_is_awaited(bench: Bench) -> None:
    endless(bench)
    sign_in = begun(bench, flow="device")
    with pytest.raises(ConfigurationError) as caught:
        sign_in.submit("c-2")
    assert caught.value.code == "not_waiting"
    sign_in.cancel()
    with pytest.raises(ConfigurationError):
        sign_in.submit("c-2")


# ── before anything is sent ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        ({"prompt": "please"}, ConfigurationError, "bad_prompt"),
        ({"claims": "no json"}, ConfigurationError, "bad_claims"),
        ({"max_age": "soon"}, ConfigurationError, "bad_max_age"),
        ({"max_age": -1}, ConfigurationError, "bad_max_age"),
        *(
            ({option: name}, ConfigurationError, "bad_name")
            for option in ("login_hint", "domain_hint", "account")
            for name in ("a\nb", "\x1b[31m", "\x9b31m", "a\u202eb", "a\u2028b", "\udcff", " ", "")
        ),
        ({"login_hint": 5}, ConfigurationError, "bad_name"),
        ({"client_id": "a\u202eb"}, ConfigurationError, "bad_setting"),
        ({"client_id": "\udcff"}, ConfigurationError, "bad_setting"),
        ({"flow": "devise"}, ConfigurationError, "bad_setting"),
        ({"flow": "hub"}, FlowUnavailable, "no_hub"),
        ({"timeout": "soon"}, ConfigurationError, "bad_setting"),
        ({"nonsense": 1}, ConfigurationError, "unknown_option"),
        ({"attended": True}, ConfigurationError, "unknown_option"),
        ({"debug": True}, ConfigurationError, "unknown_option"),
        ({"verify": False}, ConfigurationError, "bad_setting"),
        ({"authority": "http://id.example"}, ConfigurationError, "bad_authority"),
    ],
)
def test_a_bad_option_is_refused_before_anything_happens(
    bench: Bench, options: dict[str, Any], kind: type[Exception], code: str
) -> None:
    with pytest.raises(kind) as caught:
        bench.session.login("read", **options)
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert bench.engine.calls == []
    assert bench.screen.shown == []
    assert bench.session.pending() == []


def test_without_a_client_id_the_error_says_how_to_register(bench: Bench) -> None:
    del bench.environ["NBAUTH_CLIENT_ID"]
    with pytest.raises(ConfigurationError, match="No client_id") as caught:
        bench.session.login()
    assert "NBAUTH_CLIENT_ID" in caught.value.hint
    del bench.environ["NBAUTH_AUTHORITY"]
    with pytest.raises(ConfigurationError) as caught:
        bench.session.login()
    assert "az ad app create" in caught.value.hint


def test_options_reach_the_request_as_given(bench: Bench) -> None:
    options: dict[str, Any] = {
        "prompt": "login",
        "login_hint": "bob@example.com",
        "domain_hint": "example.com",
        "max_age": "60",
        "claims": '{"id_token": {"acr": null}}',
        "consent_also": ["write", "admin"],
    }
    bench.sign_in("read", **options)
    request = bench.engine.calls[0].arguments["request"]
    assert request.prompt == "login"
    assert request.login_hint == "bob@example.com"
    assert request.domain_hint == "example.com"
    assert request.max_age == 60
    assert request.claims == options["claims"]
    assert request.consent_also == ("write", "admin")
    assert set(request.scopes) == {"read"}


def test_a_signed_in_account_is_not_asked_again(bench: Bench) -> None:
    account = bench.sign_in("read")
    assert bench.session.login("read") == account
    assert "Already signed in as ada@example.com" in bench.screen.said[0]
    assert bench.screen.shown == []
    assert bench.session.login("read", quiet=True) == account
    assert len(bench.screen.said) == 1
    bench.session.login("read", force=True)
    assert len(bench.screen.shown) == 1


@pytest.mark.parametrize(
    "word",
    ["forbidden", "access_denied", "expired_token", "invalid_client", "invalid_scope",
     "unsupported_grant_type", "invalid_grant"],
)  # fmt: skip
def test_login_signs_in_whatever_the_old_sign_in_was_refused_with(bench: Bench, word: str) -> None:
    bench.session.configure(refresh_ahead=False)
    before = bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.will("refresh", refusal(word))
    assert bench.session.login("read") == before
    assert len(bench.screen.shown) == 1
    assert bench.read("read").startswith("access-ada")


def test_if_the_provider_is_unreachable_login_begins_no_sign_in(bench: Bench) -> None:
    bench.session.configure(refresh_ahead=False)
    bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.will("refresh", unreachable())
    with pytest.raises(AuthorityUnreachable):
        bench.session.login("read")
    assert bench.screen.shown == []


def test_an_unreachable_provider_is_reported(bench: Bench) -> None:
    bench.engine.will("start_device", unreachable())
    with pytest.raises(AuthorityUnreachable):
        bench.session.login("read")


def test_another_account_than_requested_is_an_error_and_not_current(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.engine.user = "eve"
    with pytest.raises(SignInError, match=r"bob@example.com was requested, but eve@") as caught:
        bench.session.login("read", account="bob@example.com", web_ui=redirect)
    assert caught.value.code == "wrong_account"
    assert "%accounts drop eve@example.com" in caught.value.hint
    assert bench.read("read").startswith("access-ada"), "eve does not become current"
    assert bench.read("read", account="eve@example.com").startswith("access-eve"), (
        "eve stays signed in"
    )
    bench.session.login("read", account="eve@example.com", force=True, web_ui=redirect)
    assert bench.read("read").startswith("access-eve")


def test_another_account_than_requested_is_not_current_even_as_the_only_one(bench: Bench) -> None:
    bench.screen.is_attended = False
    bench.engine.user = "eve"
    with pytest.raises(SignInError):
        bench.session.login("read", account="bob@example.com", web_ui=redirect)
    with pytest.raises(InteractionRequired):
        bench.read("read")
