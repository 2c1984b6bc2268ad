"""One sign-in, several ways: chosen by the place or the person, offered after a refusal."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any
from urllib.request import urlopen

import pytest

from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    SignInCancelled,
    SignInDeclined,
    SignInError,
    SignInExpired,
)
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.kernel.sign_in.receivers.callback_address import callback_address
from nbauth.oauth.flows import offered
from nbauth.testing.engine import PENDING, FakeEngine, refusal
from tests.kernel.conftest import Bench, redirect, until
from tests.kernel.sign_in.test_attempt import begun, ended_well, endless

POLICY = refusal("access_denied", "AADSTS53003: Access has been blocked by policy.")


def refused(bench: Bench, *ways: str, offers: bool = True, **options: Any) -> SignIn:
    """A sign-in by ``auto`` whose device code a policy has refused."""
    bench.screen.known_ways, bench.screen.has_choice = ways, offers
    bench.engine.will("poll_device", POLICY)
    sign_in = bench.session.login("read", background=True, **options)
    assert isinstance(sign_in, SignIn)
    until(lambda: sign_in.refusal or sign_in.state != "waiting" or sign_in.flow != "device")
    return sign_in


class Callback:
    """A place on a Jupyter server, as the screen gives it."""

    redirect_uri = "https://hub.example/hub/user-redirect/nbauth/callback"

    def __init__(self, secret: str) -> None:
        self.state = f".kernel-1.{secret}"
        self.answer: Future[dict[str, str]] = Future()
        self.stray: Future[dict[str, str]] = Future()
        self.finished: list[tuple[str, str]] = []

    def free(self, title: str, text: str, own: str = "") -> None:
        pass

    def finish(self, title: str, text: str, own: str = "") -> None:
        self.finished.append((title, text))


# ── by the callback and by paste ────────────────────────────────────────────────────────────


def test_the_callback_brings_the_answer_and_is_told_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Callback] = []

    def callback(sign_in: SignIn, secret: str, redirect_uri: str | None) -> Callback:
        opened.append(Callback(secret))
        return opened[-1]

    monkeypatch.setattr(bench.screen, "callback", callback)
    sign_in = begun(bench, flow="callback")
    (place,) = opened
    assert f"redirect_uri={place.redirect_uri}&state={place.state}" in (sign_in.authorize_url or "")
    assert place.finished == []
    place.answer.set_result({"code": "c-1", "state": place.state})
    assert sign_in.wait(5).name == "Ada"
    ended_well(sign_in)
    assert [title for title, _ in place.finished] == ["You are signed in"]


@pytest.mark.parametrize("flow", ["callback", "browser"])
def test_a_wrong_redirect_uri_starts_nothing_and_says_where_it_was_set(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    def callback(sign_in: SignIn, secret: str, redirect_uri: str | None) -> Callback:
        callback_address(None, {}, redirect_uri)
        return Callback(secret)

    monkeypatch.setattr(bench.screen, "callback", callback)
    opened: list[str] = []
    with pytest.raises(ConfigurationError) as caught:
        bench.session.login(
            "read", flow=flow, redirect_uri="https://hub.example/hub/", open_browser=opened.append
        )
    assert str(caught.value).startswith("The setting redirect_uri is https://hub.example/hub/,")
    assert caught.value.hint.endswith("redirect_uri was set here: this call.")
    assert opened == []
    assert bench.engine.count("authorize") == 0


def test_paste_does_not_end_on_a_jupyter_servers_page(bench: Bench) -> None:
    """That page takes the answer out of the address bar, and there would be nothing to paste."""
    hub = "https://hub.example/user/bob/nbauth/callback"
    sign_in = begun(bench, flow="paste", redirect_uri=hub)
    assert "redirect_uri=http://127.0.0.1&" in (sign_in.authorize_url or "")
    sign_in.cancel()
    sign_in = begun(bench, flow="paste", redirect_uri="https://id.example/shows-it", force=True)
    assert "redirect_uri=https://id.example/shows-it&" in (sign_in.authorize_url or "")
    sign_in.cancel()


def test_the_callback_of_another_sign_in_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Callback("secret")
    monkeypatch.setattr(bench.screen, "callback", lambda *_: place)
    sign_in = begun(bench, flow="callback")
    place.answer.set_result({"code": "c-1", "state": ".kernel-1.another"})
    with pytest.raises(SignInError, match="another sign-in"):
        sign_in.wait(5)
    assert bench.engine.count("redeem") == 0
    assert [title for title, _ in place.finished] == ["Not signed in"]


def test_without_a_jupyter_server_the_callback_says_so(bench: Bench) -> None:
    with pytest.raises(FlowUnavailable) as caught:
        bench.session.login("read", flow="callback")
    assert "--flow device" in caught.value.hint


def test_paste_opens_no_port_and_takes_the_address(bench: Bench) -> None:
    sign_in = begun(bench, flow="paste")
    assert sign_in._walk.driver._receiver is None
    assert sign_in.authorize_url is not None
    assert "redirect_uri=http://127.0.0.1&" in sign_in.authorize_url
    with pytest.raises(ConfigurationError) as caught:
        sign_in.submit("http://127.0.0.1/?code=c&state=another")
    assert caught.value.code == "state_mismatch"
    assert sign_in.state == "waiting"
    sign_in.submit(redirect(sign_in.authorize_url, code="c-7"))
    assert sign_in.wait(5).name == "Ada"
    assert bench.engine.calls[-1].arguments["answer"]["code"] == "c-7"


@pytest.mark.parametrize("brought", ["http://127.0.0.1/?{}", "?{}", "{}&state="])
def test_paste_shows_a_refusal_that_names_no_sign_in_and_waits_on(
    bench: Bench, brought: str
) -> None:
    sign_in = begun(bench, flow="paste")
    with pytest.raises(SignInDeclined, match=r"\[access_denied: Not you\]"):
        sign_in.submit(brought.format("error=access_denied&error_description=Not%20you"))
    assert sign_in.state == "waiting"
    assert sign_in.authorize_url is not None
    sign_in.submit(redirect(sign_in.authorize_url))
    assert sign_in.wait(5).name == "Ada"


def test_a_web_ui_that_brings_a_refusal_without_state_has_been_refused(bench: Bench) -> None:
    """Nobody else would come."""
    with pytest.raises(SignInDeclined, match="access_denied"):
        bench.session.login("read", web_ui=lambda _: "http://127.0.0.1/?error=access_denied")


# ── another way, by the person ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flow", ["browser", "device", "paste", "password"])
def test_the_ways_of_a_named_flow_begin_with_it(bench: Bench, flow: str) -> None:
    """A password is never offered: only a person who names that flow is asked for one."""
    sign_in = begun(endless(bench), flow=flow)
    assert sign_in.ways[0] == flow
    assert sorted(sign_in.ways) == sorted({*offered(), flow})
    assert "password" not in offered()
    sign_in.cancel()


def test_who_waits_goes_on_waiting_when_the_way_changes(bench: Bench) -> None:
    sign_in = begun(endless(bench), flow="device")
    sign_in.switch("browser")
    until(lambda: sign_in.authorize_url)
    assert (sign_in.flow, sign_in.state, sign_in.user_code) == ("browser", "waiting", None)
    polled = bench.engine.count("poll_device")
    with urlopen(redirect(sign_in.authorize_url or ""), timeout=5) as page:
        assert b"You are signed in" in page.read()
    assert sign_in.wait(5).name == "Ada"
    assert bench.engine.count("poll_device") == polled, "the code is polled no more"
    ended_well(sign_in)


def test_the_port_of_the_way_given_up_is_closed(bench: Bench) -> None:
    bench.engine.will("poll_device", *[PENDING] * 10_000)
    sign_in = begun(bench, flow="browser")
    old = sign_in.authorize_url or ""
    sign_in.switch("device")
    until(lambda: sign_in.user_code)
    with pytest.raises(OSError):
        urlopen(redirect(old), timeout=1)
    sign_in.switch("paste")
    until(lambda: sign_in.authorize_url)
    with pytest.raises(ConfigurationError):
        sign_in.submit(redirect(old))
    sign_in.cancel()
    ended_well(sign_in)


def test_a_hanging_request_does_not_hold_the_change_up(bench: Bench) -> None:
    gate = bench.engine.hold("start_device")
    sign_in = bench.session.login("read", background=True, flow="device")
    assert isinstance(sign_in, SignIn)
    assert gate.reached.wait(5)
    sign_in.switch("paste")
    until(lambda: sign_in.authorize_url)
    sign_in.submit(redirect(sign_in.authorize_url or ""))
    assert sign_in.wait(5)


def test_the_way_is_changed_only_while_it_waits_and_to_what_there_is(bench: Bench) -> None:
    sign_in = begun(endless(bench), flow="device")
    with pytest.raises(FlowUnavailable):
        sign_in.switch("nonsense")
    assert sign_in.user_code
    sign_in.cancel()
    with pytest.raises(ConfigurationError):
        sign_in.switch("browser")
    ended_well(sign_in)


def test_a_cancel_ends_it_after_a_change_too(bench: Bench) -> None:
    sign_in = begun(endless(bench), flow="device")
    sign_in.switch("browser")
    sign_in.cancel()
    with pytest.raises(SignInCancelled):
        sign_in.result()
    ended_well(sign_in)


# ── refused by policy ───────────────────────────────────────────────────────────────────────


def test_after_a_refusal_the_person_chooses_and_the_cell_goes_on(bench: Bench) -> None:
    sign_in = refused(bench, "device", "paste", "browser")
    assert sign_in.refusal is not None
    assert sign_in.refusal.code == "AADSTS53003"
    assert (sign_in.state, sign_in.flow) == ("waiting", "device")
    assert sign_in.user_code is None
    assert sign_in.ways == ("paste", "browser", "device"), "what is left comes first"
    assert sign_in.expires_in is not None
    sign_in.switch("paste")
    until(lambda: sign_in.authorize_url)
    assert sign_in.refusal is None
    sign_in.submit(redirect(sign_in.authorize_url or ""))
    assert sign_in.wait(5).name == "Ada"


def test_what_the_refusal_suggests_is_offered_first(bench: Bench) -> None:
    assert refused(bench, "device", "callback", "paste").ways[0] == "callback"
    for sign_in in bench.session.pending():
        sign_in.cancel()


@pytest.mark.parametrize(
    ("suggested", "left"),
    [
        (None, ["paste", "device"]),
        ("callback", ["paste", "device"]),
        ("paste", ["paste", "device"]),
        ("device", ["device", "paste"]),
    ],
)
@pytest.mark.parametrize("offers", [True, False])
def test_a_code_is_the_last_way_unless_it_is_suggested(
    bench: Bench, suggested: str | None, left: list[str], offers: bool
) -> None:
    bench.screen.known_ways = ("browser", "device", "paste")
    bench.screen.has_choice = offers
    refusals = [FlowUnavailable("No port can be opened.", suggested_flow=suggested) for _ in "12"]
    bench.engine.will("authorize", *refusals)
    bench.engine.will("poll_device", *[PENDING] * 10_000)
    sign_in = bench.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    if offers:
        until(lambda: sign_in.refusal)
        assert sign_in.ways == (*left, "browser")
    else:
        until(lambda: sign_in.user_code)
        assert sign_in._walk._tried == ["browser", *left[: left.index("device")], "device"]
    sign_in.cancel()


def test_a_refusal_waits_for_cancel_and_for_its_time(bench: Bench) -> None:
    sign_in = refused(bench, "device", "paste")
    sign_in.cancel()
    ended_well(sign_in)
    sign_in = refused(bench, "device", "paste", timeout=0.2)
    with pytest.raises(SignInExpired):
        sign_in.wait(5)


def test_where_nobody_can_choose_the_next_way_is_taken_and_said(bench: Bench) -> None:
    sign_in = refused(bench, "device", "paste", offers=False)
    until(lambda: sign_in.authorize_url)
    assert sign_in.flow == "paste"
    assert any("policy" in line for line in bench.screen.said)
    sign_in.cancel()


def test_the_last_way_refused_is_the_end(bench: Bench) -> None:
    sign_in = refused(bench, "device")
    with pytest.raises(FlowUnavailable):
        sign_in.wait(5)
    ended_well(sign_in)


def test_a_named_flow_is_not_changed_by_itself(bench: Bench) -> None:
    bench.screen.has_choice = True
    bench.engine.will("poll_device", POLICY)
    with pytest.raises(FlowUnavailable):
        bench.session.login("read", flow="device")


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_client"])
def test_what_another_way_would_not_mend_is_no_reason_for_one(bench: Bench, error: str) -> None:
    bench.screen.known_ways, bench.screen.has_choice = ("device", "paste"), True
    bench.engine.will("poll_device", refusal(error))
    with pytest.raises(Exception) as caught:
        bench.session.login("read")
    assert getattr(caught.value, "suggested_flow", None) is None


# ── what is broken off ──────────────────────────────────────────────────────────────────────


def test_breaking_off_a_sign_in_breaks_off_no_request_of_who_is_signed_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FakeEngine] = []

    def make(authority: Any, client_id: str, **_: Any) -> FakeEngine:
        made.append(FakeEngine(authority, client_id, clock=bench.clock.time))
        made[-1].live = made[0].live  # one provider behind them all
        return made[-1]

    monkeypatch.setattr(bench.session._engines, "make", make)
    bench.session.login("read", web_ui=redirect)
    bench.session.acquire("read", force_refresh=True)
    refreshing = made[-1]
    other = bench.session.login("write", background=True, flow="device", force=True)
    assert isinstance(other, SignIn)
    gate = made[-1].hold("start_device")
    other.switch("device")
    assert gate.reached.wait(5)
    other.cancel()
    ended_well(other)
    assert made[-1].count("abort")
    assert refreshing.count("abort") == 0
    assert len({id(engine) for engine in made}) == 3
