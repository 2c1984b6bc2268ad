"""Flows driven by the test: no clock, no network, no screen."""

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
    """Drives a flow and adds up the time of its pauses."""

    def __init__(self, steps: Steps, now: float = 500.0) -> None:
        self.steps = steps
        self.now = now
        self.pauses: list[float] = []
        self.shown: ShowUserCode | None = None

    def to_the_end(self, late: float = 0.0) -> TokenResponse:
        """``late``: seconds by which every pause is longer than requested."""
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
        """All pauses but the first, which only reads the time."""
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


def test_device_slow_down_adds_five_seconds_permanently() -> None:
    engine = FakeEngine().will("poll_device", PENDING, SLOW_DOWN, PENDING, SLOW_DOWN)
    engine.interval = 5
    hand = device(engine)
    hand.to_the_end()
    assert hand.waits == [5, 5, 10, 10, 15]


def test_device_polls_less_often_while_the_network_is_down() -> None:
    engine = FakeEngine().will("poll_device", *[unreachable() for _ in range(6)], PENDING)
    engine.interval = 5
    hand = device(engine)
    assert hand.to_the_end()
    assert hand.waits == [5, 10, 20, 40, 60, 60, 60, 5]


def test_device_never_polls_more_often_than_the_interval() -> None:
    engine = FakeEngine().will("poll_device", unreachable(), PENDING)
    engine.interval = 90
    hand = device(engine)
    hand.to_the_end()
    assert min(hand.waits) == 90


def test_device_does_not_poll_after_expiry() -> None:
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


def test_device_does_not_poll_after_a_sleep_beyond_expiry() -> None:
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
def test_device_ends_with_the_providers_error(error: str, kind: type[Exception]) -> None:
    engine = FakeEngine().will("poll_device", PENDING, refusal(error))
    with pytest.raises(kind):
        device(engine).to_the_end()
    assert engine.count("poll_device") == 2


def test_device_fails_at_once_if_the_first_request_fails() -> None:
    engine = FakeEngine().will("start_device", unreachable())
    with pytest.raises(AuthorityUnreachable):
        device(engine).to_the_end()


# ── browser ─────────────────────────────────────────────────────────────────────────────────


def begun(engine: FakeEngine, request: AuthorizationRequest = REQUEST) -> tuple[Steps, str]:
    """A browser flow that waits for its redirect, and its state."""
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


def test_browser_yields_receiver_browser_and_redirect() -> None:
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
def test_the_browser_flows_differ_in_their_receiver(name: str, kind: ReceiverKind) -> None:
    receiver = next(FLOWS[name].run(FakeEngine(), REQUEST))
    assert isinstance(receiver, OpenReceiver)
    assert receiver.receiver is kind


def test_every_flow_name_has_a_record() -> None:
    assert tuple(FLOWS) == flow_names.HERE
    for flow in FLOWS.values():
        assert flow.label
        assert flow.how.endswith(".")
        assert flow.detail
    assert flow.interactive == (flow.renew is None)
    assert flows_for([]) == ("paste", "device")
    assert set(flows_for([ReceiverKind.LOOPBACK])) == {"browser", "paste", "device"}


def test_reprs_of_steps_hide_the_state() -> None:
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
def test_browser_rejects_another_state_before_sending_anything(changed: Any) -> None:
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
def test_browser_checks_the_issuer_of_the_response(
    required: bool, iss: str | None, good: bool
) -> None:
    engine = FakeEngine()
    pending = PendingAuthorization("https://id.example/a", "s", ISSUER, required, REQUEST)
    answer = {"code": "c", "state": "s", **({} if iss is None else {"iss": iss})}
    if good:
        browser.check_response(pending, answer)
        return
    with pytest.raises(SignInError) as caught:
        browser.check_response(pending, answer)
    assert caught.value.code == "issuer_mismatch"
    assert engine.calls == []


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("iss", "code"),
    [
        (None, "access_denied"),  # several providers omit it in errors
        (ISSUER, "access_denied"),
        (f"{ISSUER}/", "access_denied"),
        ("https://evil.example", "issuer_mismatch"),
        ("", "issuer_mismatch"),
    ],
)
def test_browser_shows_the_code_of_an_error_response(
    required: bool, iss: str | None, code: str
) -> None:
    pending = PendingAuthorization("https://id.example/a", "s", ISSUER, required, REQUEST)
    answer = {"error": "access_denied", "state": "s", **({} if iss is None else {"iss": iss})}
    with pytest.raises(SignInError) as caught:
        browser.check_response(pending, answer)
    assert caught.value.code == code
    if code == "issuer_mismatch":  # the message must not suspect tampering
        assert f"from the issuer {iss} instead" in str(caught.value)
        assert ISSUER in str(caught.value)
        assert "tampering" not in caught.value.hint
        assert "authority" in caught.value.hint


@pytest.mark.parametrize("error", [{}, {"error": ""}, {"error": "access_denied"}])
@pytest.mark.parametrize("iss", [None, "https://evil.example"])
def test_browser_warns_of_tampering_if_the_response_has_a_code(
    iss: str | None, error: dict[str, str]
) -> None:
    """Also if the response contains an error beside the code."""
    pending = PendingAuthorization("https://id.example/a", "s", ISSUER, True, REQUEST)
    answer = {"code": "c", "state": "s", **error, **({} if iss is None else {"iss": iss})}
    with pytest.raises(SignInError, match="another issuer") as caught:
        browser.check_response(pending, answer)
    assert "tampering" in caught.value.hint


def test_browser_raises_the_providers_error_without_redeeming() -> None:
    engine = FakeEngine()
    steps, state = begun(engine)
    with pytest.raises(SignInDeclined, match="He said no"):
        steps.send({"error": "access_denied", "error_description": "He said no.", "state": state})
    assert engine.count("redeem") == 0


def test_browser_rejects_an_error_without_state() -> None:
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
def test_browser_sends_every_known_prompt(prompt: str) -> None:
    engine = FakeEngine()
    begun(engine, AuthorizationRequest(REQUEST.scopes, prompt=prompt))
    assert engine.calls[0].arguments["request"].prompt == prompt


def test_browser_rejects_an_unknown_prompt_first() -> None:
    engine = FakeEngine()
    steps = browser.run(engine, AuthorizationRequest(REQUEST.scopes, prompt="please"))
    with pytest.raises(ConfigurationError, match="please"):
        next(steps)
    assert engine.calls == []


# ── the registry ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_is_found_by_its_name(name: str) -> None:
    assert flow_named(name) is FLOWS[name]


@pytest.mark.parametrize("name", ["nonsense", ""])
def test_an_error_for_an_unavailable_flow_lists_the_available_ones(name: str) -> None:
    with pytest.raises(FlowUnavailable) as caught:
        flow_named(name)
    assert "--flow device" in caught.value.hint
    assert caught.value.suggested_flow in FLOWS
