"""Flows driven by hand: no clock, no network, no screen."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from nbauth.core import flow_names
from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    SignInDeclined,
    SignInError,
    SignInExpired,
)
from nbauth.core.scopes import Scopes
from nbauth.core.steps import (
    AwaitRedirect,
    OpenBrowser,
    OpenReceiver,
    Pause,
    ReceiverKind,
    Receiving,
    ShowUserCode,
)
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, PendingAuthorization
from nbauth.oauth.flows import FLOWS, browser, device_code, flow_named, flows_for
from nbauth.testing.engine import ISSUER, PENDING, SLOW_DOWN, FakeEngine, refusal, unreachable

REQUEST = AuthorizationRequest(Scopes.parse(["read"], microsoft=False))
Steps = Generator[Any, Any, TokenResponse]


class Hand:
    """Walks a flow and keeps the time that its pauses would have taken."""

    def __init__(self, steps: Steps, now: float = 500.0) -> None:
        self.steps = steps
        self.now = now
        self.pauses: list[float] = []
        self.shown: ShowUserCode | None = None

    def to_the_end(self, late: float = 0.0) -> TokenResponse:
        """``late``: seconds that every pause takes longer than asked for."""
        answer: Any = None
        while True:
            try:
                step = self.steps.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now += step.seconds + (late if step.seconds else 0)
                answer = self.now
            else:
                self.shown = step

    @property
    def waits(self) -> list[float]:
        """Without the first, which only asks for the time."""
        assert self.pauses[0] == 0
        return self.pauses[1:]


def device(engine: FakeEngine) -> Hand:
    return Hand(device_code.run(engine, REQUEST))


# ── device code ─────────────────────────────────────────────────────────────────────────────


def test_device_shows_the_code_and_polls_until_the_person_has_finished() -> None:
    engine = FakeEngine().will("poll_device", PENDING, PENDING)
    engine.interval = 5
    hand = device(engine)
    assert hand.to_the_end().access_token == "access-ada-1"
    assert hand.shown == ShowUserCode("WXYZ-1234", f"{ISSUER}/device", 600.0)
    assert hand.waits == [5, 5, 5]
    assert engine.count("poll_device") == 3


@pytest.mark.parametrize("interval", [0, -5, 0.001])
def test_device_never_polls_without_a_pause(interval: float) -> None:
    engine = FakeEngine().will("poll_device", PENDING)
    engine.interval = interval
    hand = device(engine)
    hand.to_the_end()
    assert hand.waits == [1, 1]


def test_device_slow_down_adds_five_seconds_for_good() -> None:
    engine = FakeEngine().will("poll_device", PENDING, SLOW_DOWN, PENDING, SLOW_DOWN)
    engine.interval = 5
    hand = device(engine)
    hand.to_the_end()
    assert hand.waits == [5, 5, 10, 10, 15]


def test_device_backs_off_while_the_network_is_down_and_goes_on() -> None:
    engine = FakeEngine().will("poll_device", *[unreachable() for _ in range(6)], PENDING)
    engine.interval = 5
    hand = device(engine)
    assert hand.to_the_end()
    assert hand.waits == [5, 10, 20, 40, 60, 60, 60, 5]


def test_device_never_asks_more_often_than_told_however_long_the_interval() -> None:
    engine = FakeEngine().will("poll_device", unreachable(), PENDING)
    engine.interval = 90
    hand = device(engine)
    hand.to_the_end()
    assert min(hand.waits) == 90


def test_device_expires_without_asking_again() -> None:
    engine = FakeEngine().will("poll_device", *[PENDING] * 1000)
    engine.interval, engine.code_lifetime = 5, 61
    hand = device(engine)
    with pytest.raises(SignInExpired):
        hand.to_the_end()
    assert engine.count("poll_device") == 12
    assert hand.waits[-1] == 1
    assert hand.now == 561


def test_device_expires_even_while_the_network_is_down() -> None:
    engine = FakeEngine().will("poll_device", *[unreachable() for _ in range(1000)])
    engine.code_lifetime = 300
    with pytest.raises(SignInExpired):
        device(engine).to_the_end()


def test_device_expires_after_a_sleep_without_asking() -> None:
    engine = FakeEngine()
    with pytest.raises(SignInExpired):
        device(engine).to_the_end(late=10_000)
    assert engine.count("poll_device") == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("access_denied", SignInDeclined),
        ("authorization_declined", SignInDeclined),
        ("expired_token", SignInExpired),
        ("invalid_client", ConfigurationError),
        ("odd", SignInError),
    ],
)
def test_device_ends_at_the_providers_no(error: str, kind: type[Exception]) -> None:
    engine = FakeEngine().will("poll_device", PENDING, refusal(error))
    with pytest.raises(kind):
        device(engine).to_the_end()
    assert engine.count("poll_device") == 2


def test_device_fails_at_once_if_it_cannot_begin() -> None:
    engine = FakeEngine().will("start_device", unreachable())
    with pytest.raises(AuthorityUnreachable):
        device(engine).to_the_end()


# ── browser ─────────────────────────────────────────────────────────────────────────────────


def begun(engine: FakeEngine, request: AuthorizationRequest = REQUEST) -> tuple[Steps, str]:
    """A browser flow that waits for its redirect, and the state it carries."""
    steps = browser.run(engine, request)
    receiver = next(steps)
    assert isinstance(receiver, OpenReceiver)
    opened = steps.send(Receiving("http://localhost:5000", f"here.{receiver.secret}"))
    assert isinstance(opened, OpenBrowser)
    assert f"state=here.{receiver.secret}" in opened.authorize_url
    assert isinstance(steps.send(None), AwaitRedirect)
    return steps, f"here.{receiver.secret}"


def ends(steps: Steps, answer: dict[str, str]) -> TokenResponse:
    with pytest.raises(StopIteration) as stop:
        steps.send(answer)
    return stop.value.value  # type: ignore[no-any-return]


def test_browser_asks_for_a_receiver_then_a_browser_then_the_redirect() -> None:
    engine = FakeEngine()
    steps, state = begun(engine)
    assert engine.calls[0].arguments["redirect_uri"] == "http://localhost:5000"
    assert engine.count("redeem") == 0
    assert ends(steps, {"code": "c", "state": state}).access_token == "access-ada-1"
    assert engine.calls[-1].arguments == {"answer": {"code": "c", "state": state}}


def test_browser_has_a_new_secret_each_time() -> None:
    secrets = {next(browser.run(FakeEngine(), REQUEST)).secret for _ in range(50)}  # type: ignore[union-attr]
    assert len(secrets) == 50
    assert all(len(secret) == 43 for secret in secrets), "256 bits"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("browser", ReceiverKind.LOOPBACK),
        ("callback", ReceiverKind.JUPYTER_SERVER),
        ("paste", ReceiverKind.NONE),
    ],
)
def test_the_flows_by_browser_differ_in_where_it_comes_back_to(
    name: str, kind: ReceiverKind
) -> None:
    receiver = next(FLOWS[name].run(FakeEngine(), REQUEST))
    assert isinstance(receiver, OpenReceiver)
    assert receiver.receiver is kind


def test_the_records_are_the_flows_that_have_names() -> None:
    assert tuple(FLOWS) == flow_names.HERE
    for flow in FLOWS.values():
        assert flow.label
        assert flow.how.endswith(".")
        assert flow.detail
        assert flow.interactive
    assert flows_for([]) == ("paste", "device")
    assert set(flows_for([ReceiverKind.LOOPBACK])) == {"browser", "paste", "device"}


def test_steps_do_not_show_their_state() -> None:
    steps = browser.run(FakeEngine(), REQUEST)
    receiver = next(steps)
    assert isinstance(receiver, OpenReceiver)
    receiving = Receiving("http://localhost:5000", receiver.secret)
    opened = steps.send(receiving)
    for step in (receiver, receiving, opened):
        assert receiver.secret not in repr(step)


@pytest.mark.parametrize(
    "changed",
    [
        lambda state: {},
        lambda state: {"state": ""},
        lambda state: {"state": state[:-1]},
        lambda state: {"state": state + "x"},
        lambda state: {"state": state.swapcase()},
        lambda state: {"state": f" {state}"},
        lambda state: {"state": "'; drop table--"},
        lambda state: {"state": "\u202e\U0001f600"},
        lambda state: {"state": "\ud800"},
        lambda state: {"state": "x" * 100_000},
        lambda state: {"State": state},
    ],
)
def test_browser_refuses_another_state_before_anything_is_sent(changed: Any) -> None:
    engine = FakeEngine()
    steps, state = begun(engine)
    with pytest.raises(SignInError) as caught:
        steps.send({"code": "c", **changed(state)})
    assert caught.value.code == "state_mismatch"
    assert engine.count("redeem") == 0


@pytest.mark.parametrize(
    ("required", "iss", "good"),
    [
        (False, None, True),
        (False, ISSUER, True),
        (True, ISSUER, True),
        (True, None, False),
        (False, "https://evil.example", False),
        (True, "https://evil.example", False),
        (False, "", False),
        (False, f"{ISSUER}/", True),
        (True, f"{ISSUER}/", True),
        (False, f"{ISSUER}//", False),
    ],
)
def test_browser_holds_the_answer_to_its_issuer(
    required: bool, iss: str | None, good: bool
) -> None:
    engine = FakeEngine()
    pending = PendingAuthorization("https://id.example/a", "s", ISSUER, required, REQUEST)
    answer = {"code": "c", "state": "s", **({} if iss is None else {"iss": iss})}
    if good:
        browser.check_answer(pending, answer)
        return
    with pytest.raises(SignInError) as caught:
        browser.check_answer(pending, answer)
    assert caught.value.code == "issuer_mismatch"
    assert engine.calls == []


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("iss", "code"),
    [
        (None, "access_denied"),  # promised or not: several leave it out of a refusal
        (ISSUER, "access_denied"),
        (f"{ISSUER}/", "access_denied"),
        ("https://evil.example", "issuer_mismatch"),
        ("", "issuer_mismatch"),
    ],
)
def test_browser_shows_a_refusal_with_its_own_word(
    required: bool, iss: str | None, code: str
) -> None:
    pending = PendingAuthorization("https://id.example/a", "s", ISSUER, required, REQUEST)
    answer = {"error": "access_denied", "state": "s", **({} if iss is None else {"iss": iss})}
    with pytest.raises(SignInError) as caught:
        browser.check_answer(pending, answer)
    assert caught.value.code == code
    if code == "issuer_mismatch":  # nothing was at stake, so nobody is accused
        assert f"names another issuer, {iss}" in str(caught.value)
        assert ISSUER in str(caught.value)
        assert "tampered" not in caught.value.hint
        assert "authority" in caught.value.hint


@pytest.mark.parametrize("error", [{}, {"error": ""}, {"error": "access_denied"}])
@pytest.mark.parametrize("iss", [None, "https://evil.example"])
def test_browser_accuses_where_a_code_is_at_stake(iss: str | None, error: dict[str, str]) -> None:
    """An error beside the code does not make it harmless."""
    pending = PendingAuthorization("https://id.example/a", "s", ISSUER, True, REQUEST)
    answer = {"code": "c", "state": "s", **error, **({} if iss is None else {"iss": iss})}
    with pytest.raises(SignInError, match="another issuer") as caught:
        browser.check_answer(pending, answer)
    assert "tampered" in caught.value.hint


def test_browser_passes_the_providers_error_on_without_redeeming() -> None:
    engine = FakeEngine()
    steps, state = begun(engine)
    with pytest.raises(SignInDeclined, match="He said no"):
        steps.send({"error": "access_denied", "error_description": "He said no.", "state": state})
    assert engine.count("redeem") == 0


def test_browser_does_not_believe_an_error_without_its_state() -> None:
    steps, _ = begun(FakeEngine())
    with pytest.raises(SignInError) as caught:
        steps.send({"error": "access_denied"})
    assert caught.value.code == "state_mismatch"


@pytest.mark.parametrize("answer", [{}, {"code": ""}])
def test_browser_needs_a_code(answer: dict[str, str]) -> None:
    engine = FakeEngine()
    steps, state = begun(engine)
    with pytest.raises(SignInError) as caught:
        steps.send({**answer, "state": state})
    assert caught.value.code == "no_code"
    assert engine.count("redeem") == 0


@pytest.mark.parametrize("prompt", sorted(browser.PROMPTS))
def test_browser_sends_every_prompt_there_is(prompt: str) -> None:
    engine = FakeEngine()
    begun(engine, AuthorizationRequest(REQUEST.scopes, prompt=prompt))
    assert engine.calls[0].arguments["request"].prompt == prompt


def test_browser_refuses_an_unknown_prompt_before_anything_happens() -> None:
    engine = FakeEngine()
    steps = browser.run(engine, AuthorizationRequest(REQUEST.scopes, prompt="please"))
    with pytest.raises(ConfigurationError, match="please"):
        next(steps)
    assert engine.calls == []


# ── the registry ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_is_found_by_its_name(name: str) -> None:
    assert flow_named(name) is FLOWS[name]


@pytest.mark.parametrize("name", ["broker", "nonsense", ""])
def test_a_flow_that_is_not_here_names_those_that_are(name: str) -> None:
    with pytest.raises(FlowUnavailable) as caught:
        flow_named(name)
    assert "--flow device" in caught.value.hint
    assert caught.value.suggested_flow in FLOWS
