"""Sign-ins by password: typed, from the keyring, and every way in which the wait ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import sys
import threading
from typing import Any

import pytest

from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    PersistenceError,
    SignInCancelled,
    SignInError,
    SignInExpired,
)
from nbauth.core.steps import AskPassword, ChooseFlow
from nbauth.kernel.sign_in import password_question
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.kernel.stored_password import StoredPasswords
from nbauth.testing.canary import find, make_canary
from nbauth.testing.engine import refusal, unreachable
from tests.kernel.conftest import Bench, until
from tests.kernel.lines import interrupted
from tests.kernel.sign_in.test_attempt import begun, ended_well

ADA = "ada@example.com"
WRONG = refusal("invalid_grant", "Invalid user credentials")
MFA = refusal("invalid_grant", "AADSTS50076: Use multi-factor authentication.")


def keyring(bench: Bench, entries: dict[str, str] | Exception) -> list[tuple[str, str]]:
    """Give the session these passwords in the keyring; return the list of what was read."""
    asked: list[tuple[str, str]] = []

    def read(service: str, username: str) -> str | None:
        asked.append((service, username))
        if isinstance(entries, Exception):
            raise entries
        return entries.get(username)

    bench.session._attempts._passwords = StoredPasswords(read)
    return asked


def question(sign_in: SignIn, attempt: int = 1) -> AskPassword:
    """Wait for the question, and return it."""
    until(lambda: getattr(sign_in.step, "attempt", 0) == attempt or sign_in.state != "waiting")
    assert isinstance(sign_in.step, AskPassword), sign_in.step
    return sign_in.step


def passwords(bench: Bench) -> list[str]:
    """The passwords that the provider has received."""
    calls = [call for call in bench.engine.calls if call.method == "obtain"]
    return [str(call.arguments["wanted"].password) for call in calls]


def answering(*given: tuple[str, str]) -> Any:
    """A person who answers each question, in turn."""

    def person(sign_in: SignIn) -> None:
        for number, one in enumerate(given, 1):
            question(sign_in, number)
            sign_in.enter(*one)

    return person


# ── by the person ───────────────────────────────────────────────────────────────────────────


def test_a_typed_password_signs_in_and_is_not_kept(bench: Bench) -> None:
    sign_in = begun(bench, flow="password", login_hint=ADA)
    assert question(sign_in).username == ADA
    assert 290 < (sign_in.expires_in or 0) <= 300
    assert sign_in.message == "Enter your user name and your password."
    sign_in.enter(ADA, " spaces are part of it ")
    assert sign_in.wait(5).name == "Ada"
    ended_well(sign_in)
    assert passwords(bench) == [" spaces are part of it "]
    kept = sign_in._walk.driver._password
    assert (kept._given, kept._asked) == (None, None)
    assert bench.session.acquire("read").source == "cache"


def test_a_wrong_password_is_asked_for_again_in_the_same_sign_in(bench: Bench) -> None:
    bench.engine.will("obtain", WRONG, WRONG)
    bench.screen.person = answering((ADA, "one"), (ADA, "two"), ("eve@example.com", "three"))
    assert bench.session.login("read", flow="password").name == "Ada"
    assert passwords(bench) == ["one", "two", "three"]
    assert any("did not accept" in message for message in bench.screen.messages)


def test_a_refused_password_is_gone_while_it_is_asked_for_again(bench: Bench) -> None:
    bench.engine.will("obtain", WRONG)
    sign_in = begun(bench, flow="password", login_hint=ADA)
    question(sign_in)
    secret = make_canary("password")
    sign_in.enter(ADA, secret)
    question(sign_in, 2)
    frame = sys._current_frames()[sign_in._thread.ident or 0]
    while frame is not None:
        held = [one for value in frame.f_locals.values() for one in _parts(value)]
        assert secret not in held, frame.f_code.co_qualname
        frame = frame.f_back  # type: ignore[assignment]
    sign_in.cancel()


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def test_after_three_wrong_passwords_the_sign_in_ends(bench: Bench) -> None:
    bench.engine.will("obtain", *[WRONG] * 9)
    bench.screen.has_choice = True
    bench.screen.person = answering(*[(ADA, "wrong")] * 3)
    with pytest.raises(SignInError, match="did not accept") as ended:
        bench.session.login("read", flow="password")
    assert ended.value.code == "wrong_password"
    assert len(passwords(bench)) == 3


@pytest.mark.parametrize(
    ("name", "password", "code"),
    [("", "x", "no_username"), (" ", "x", "no_username"), (ADA, "", "no_password"),
     ("a\nb", "x", "no_username"), (ADA, b"bytes", "no_password"), (ADA, 1234, "no_password"),
     (ADA, None, "no_password"), (b"ada", "x", "no_username")],
)  # fmt: skip
def test_an_incomplete_answer_is_refused_and_can_be_given_again(
    bench: Bench, name: Any, password: Any, code: str
) -> None:
    sign_in = begun(bench, flow="password")
    with pytest.raises(ConfigurationError) as refused:
        sign_in.enter(name, password)
    assert refused.value.code == code
    assert sign_in.state == "waiting"
    sign_in.enter(ADA, "right")
    assert sign_in.wait(5).name == "Ada"


def test_only_one_answer_is_taken_and_only_when_it_is_asked_for(bench: Bench) -> None:
    device = begun(bench, flow="paste")
    with pytest.raises(ConfigurationError) as refused:
        device.enter(ADA, "x")
    assert refused.value.code == "not_waiting"
    device.cancel()
    gate = bench.engine.hold("obtain")
    sign_in = begun(bench, flow="password", force=True)
    sign_in.enter(ADA, "first")
    gate.reached.wait(5)
    with pytest.raises(ConfigurationError):
        sign_in.enter(ADA, "second")
    gate.open()
    sign_in.wait(5)
    with pytest.raises(ConfigurationError):
        sign_in.enter(ADA, "third")
    assert passwords(bench) == ["first"]


def test_the_advice_against_it_is_shown_at_the_first_use_only(bench: Bench) -> None:
    first = begun(bench, flow="password")
    assert "multi-factor" in question(first).note
    first.cancel()
    second = begun(bench, flow="password")
    assert question(second).note == ""
    second.cancel()


# ── how the wait ends ───────────────────────────────────────────────────────────────────────


def test_cancel_and_time_out(bench: Bench) -> None:
    sign_in = begun(bench, flow="password")
    sign_in.cancel()
    with pytest.raises(SignInCancelled):
        sign_in.wait(5)
    ended_well(sign_in)
    with pytest.raises(SignInExpired):
        bench.session.login("read", flow="password", timeout=0.2)
    assert passwords(bench) == []


def test_cancel_while_the_password_is_on_its_way(bench: Bench) -> None:
    bench.engine.hold("obtain").reached.clear()
    sign_in = begun(bench, flow="password")
    sign_in.enter(ADA, "x")
    until(lambda: bench.engine.count("obtain"))
    sign_in.cancel()
    with pytest.raises(SignInCancelled):
        sign_in.wait(5)
    ended_well(sign_in, 2.0)


def test_another_flow_while_the_field_is_open(bench: Bench) -> None:
    sign_in = begun(bench, flow="password")
    question(sign_in)
    sign_in.switch("paste")
    until(lambda: sign_in.authorize_url)
    with pytest.raises(ConfigurationError):
        sign_in.enter(ADA, "too late")
    sign_in.switch("password")
    question(sign_in)
    sign_in.enter(ADA, "x")
    assert sign_in.wait(5).name == "Ada"


def test_a_second_caller_waits_for_the_same_question(bench: Bench) -> None:
    sign_in = begun(bench, flow="password")
    outcome: list[Any] = []
    waits = threading.Thread(
        target=lambda: outcome.append(bench.session.login("read", flow="password"))
    )
    waits.start()
    until(lambda: sign_in.waiters)
    sign_in.enter(ADA, "x")
    waits.join(5)
    assert outcome == [sign_in.account]
    assert len(passwords(bench)) == 1


def test_awaited_and_cancelled(bench: Bench) -> None:
    async def cell() -> None:
        task = asyncio.ensure_future(bench.session.login_async("read", flow="password"))
        while not bench.session.pending():
            await asyncio.sleep(0.01)
        (sign_in,) = bench.session.pending()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sign_in.state == "cancelled"

    asyncio.run(cell())


def test_an_interrupt_at_any_line_of_an_answer_leaves_a_question_or_an_answer(
    bench: Bench,
) -> None:
    begins: list[SignIn] = []

    def act() -> None:
        begins.clear()
        begins.append(begun(bench, flow="password", force=True))
        begins[-1].enter(ADA, "x")

    reached = 0
    for _where in interrupted(act, password_question.__file__):
        if not begins:  # interrupted before the sign-in began
            continue
        reached += 1
        with contextlib.suppress(ConfigurationError):  # the first answer was taken
            begins[-1].enter(ADA, "x")
        assert begins[-1].wait(5).name == "Ada"
    begins[-1].wait(5)
    assert reached > 5


# ── refused ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "settings",
    [
        {"authority": "https://login.microsoftonline.com/common"},
        {"authority": "https://login.microsoftonline.com/consumers"},
        {"authority": "https://login.microsoftonline.com/contoso.com", "account": "a@outlook.com"},
    ],
)
@pytest.mark.parametrize("attended", [True, False])
def test_nobody_is_asked_where_it_cannot_work(
    bench: Bench, settings: dict[str, Any], attended: bool
) -> None:
    bench.screen.is_attended = attended
    with pytest.raises(FlowUnavailable):
        bench.session.login("User.Read", flow="password", **settings)
    assert bench.screen.shown == []
    assert all(engine.calls == [] for engine in bench.engines.values())


def test_the_panel_offers_the_browser_if_more_proof_is_demanded(bench: Bench) -> None:
    bench.engine.will("obtain", MFA)
    bench.screen.known_ways, bench.screen.has_choice = ("browser", "device"), True
    sign_in = begun(bench, flow="password")
    sign_in.enter(ADA, "right")
    until(lambda: isinstance(sign_in.step, ChooseFlow))
    assert sign_in.ways[:2] == ("browser", "device")
    assert "multi-factor" in sign_in.message
    sign_in.switch("device")
    assert sign_in.wait(5).name == "Ada"


def test_without_a_choice_the_error_names_the_browser(bench: Bench) -> None:
    bench.engine.will("obtain", MFA)
    bench.screen.person = answering((ADA, "right"))
    with pytest.raises(InteractionRequired) as demanded:
        bench.session.login("read", flow="password")
    assert demanded.value.suggested_flow == "browser"
    assert "--flow browser" in demanded.value.hint


# ── from the keyring ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("attended", [True, False])
def test_the_keyring_answers_for_the_named_account(bench: Bench, attended: bool) -> None:
    bench.screen.is_attended = attended
    asked = keyring(bench, {ADA: "stored"})
    assert bench.session.login("read", flow="password", account=ADA).username == ADA
    assert set(asked) == {("nbauth:default", ADA)}
    assert passwords(bench) == ["stored"]
    assert any("multi-factor" in line for line in bench.screen.said)
    assert not any("Enter" in message for message in bench.screen.messages)


def test_an_unattended_token_signs_in_by_the_keyring_too(bench: Bench) -> None:
    bench.screen.is_attended = False
    keyring(bench, {ADA: "stored"})
    bench.session.configure(flow="password")
    with pytest.raises(InteractionRequired):
        bench.session.acquire("read")
    with pytest.raises(InteractionRequired):
        bench.session.acquire("read", account=ADA, interactive=False)
    assert passwords(bench) == []
    assert bench.session.acquire("read", account=ADA).source == "flow"
    login = bench.session.login_async("read", account=ADA, force=True)
    assert asyncio.run(login).username == ADA
    assert passwords(bench) == ["stored", "stored"]


def test_without_an_entry_an_unattended_run_fails_before_anything_is_sent(bench: Bench) -> None:
    bench.screen.is_attended = False
    with pytest.raises(InteractionRequired):
        bench.session.login("read", flow="password", account=ADA)
    assert bench.engine.calls == []


def test_a_locked_keyring_is_named_unattended_and_no_obstacle_to_a_person(bench: Bench) -> None:
    keyring(bench, PersistenceError("The system keyring is locked.", code="locked_keyring"))
    bench.screen.is_attended = False
    with pytest.raises(InteractionRequired, match=r"keyring is locked"):
        bench.session.login("read", flow="password", account=ADA)
    bench.screen.is_attended = True
    bench.screen.person = answering((ADA, "typed"))
    assert bench.session.login("read", flow="password", account=ADA).username == ADA
    keyring(bench, PersistenceError("There is no keyring.", code="no_keyring"))
    bench.screen.is_attended = False
    with pytest.raises(InteractionRequired, match=r"needs a person"):
        bench.session.login("read", flow="password", account=ADA, force=True)


@pytest.mark.parametrize("error", [WRONG, MFA, refusal("teapot")], ids=["wrong", "mfa", "unknown"])
def test_a_refused_entry_is_sent_once_only(bench: Bench, error: Exception) -> None:
    """Repeated calls of an unattended run would lock the account."""
    bench.screen.is_attended = False
    entries = {ADA: "outdated"}
    keyring(bench, entries)
    bench.engine.will("obtain", *[error] * 9)
    for _ in range(4):
        with pytest.raises((SignInError, InteractionRequired)):
            bench.session.login("read", flow="password", account=ADA)
    assert passwords(bench) == ["outdated"]
    entries[ADA] = "changed"
    bench.engine._script.clear()
    assert bench.session.login("read", flow="password", account=ADA).username == ADA


def test_an_entry_is_sent_again_after_a_network_error(bench: Bench) -> None:
    bench.screen.is_attended = False
    keyring(bench, {ADA: "stored"})
    bench.engine.will("obtain", unreachable())
    with pytest.raises(Exception, match="cannot be reached"):
        bench.session.login("read", flow="password", account=ADA)
    assert bench.session.login("read", flow="password", account=ADA).username == ADA


def test_a_person_is_asked_after_a_refused_entry(bench: Bench) -> None:
    keyring(bench, {ADA: "outdated"})
    bench.engine.will("obtain", WRONG)
    sign_in = begun(bench, flow="password", account=ADA)
    asked = question(sign_in, 2)
    assert "did not accept" in str(asked.refusal)
    sign_in.enter(ADA, "typed")
    assert sign_in.wait(5).username == ADA
    assert passwords(bench) == ["outdated", "typed"]
    sign_in = begun(bench, flow="password", account=ADA, force=True)
    assert "did not accept" in str(question(sign_in).refusal), "the reason is shown"
    sign_in.cancel()


# ── secrets ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [None, WRONG, MFA, unreachable(), ValueError("odd")])
def test_the_password_is_in_no_log_repr_or_message(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = make_canary("password")
    bench.engine.will("obtain", error)
    sign_in = begun(bench, flow="password")
    sign_in.enter(ADA, secret)
    until(lambda: sign_in.state != "waiting" or isinstance(sign_in.step, AskPassword))
    shown = [repr(sign_in), repr(sign_in.step), repr(vars(sign_in)), repr(sign_in.error)]
    shown += [*bench.screen.said, *bench.screen.messages, caplog.text, repr(caplog.records)]
    shown += [repr(vars(sign_in._walk.driver)), repr(vars(sign_in._walk.driver._password))]
    assert find(secret, "\n".join(shown)) == []
    assert ADA not in caplog.text
    with pytest.raises(TypeError):
        pickle.dumps(sign_in)
    sign_in.cancel()
