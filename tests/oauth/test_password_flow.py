"""The flow ``password``, driven step by step."""

from __future__ import annotations

import pickle
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInError,
)
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.steps import AskPassword, message_of
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority, parse
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import Password
from nbauth.oauth.flows import FLOWS, flows_for, password
from nbauth.oauth.offer import Offer
from nbauth.testing.engine import ISSUER, FakeEngine, refusal, unreachable

REQUEST = AuthorizationRequest(Scopes.parse(["read"], microsoft=False))
ENTRA = parse("https://login.microsoftonline.com/contoso.com")
SECRET = "correct-horse-battery"
GIVEN = ("ada@contoso.com", SecretStr(SECRET))


def asked(engine: FakeEngine, request: AuthorizationRequest = REQUEST) -> tuple[Any, AskPassword]:
    """The flow at its first step."""
    steps = password.run(engine, request)
    step = next(steps)
    assert isinstance(step, AskPassword)
    return steps, step


def answer(steps: Generator[Any, Any, TokenResponse], *given: Any) -> TokenResponse:
    """The tokens for these answers, one after the other."""
    with pytest.raises(StopIteration) as ended:
        for one in given:
            steps.send(one)
    response: TokenResponse = ended.value.value
    return response


def test_it_asks_and_sends_what_was_typed() -> None:
    engine = FakeEngine()
    steps, step = asked(engine, replace(REQUEST, login_hint="ada@contoso.com"))
    assert (step.username, step.refusal, step.attempt) == ("ada@contoso.com", None, 1)
    assert "multi-factor" in step.note
    assert step.note.count(".") == 1, "one sentence"
    assert answer(steps, GIVEN).scopes == ("read",)
    (call,) = [call for call in engine.calls if call.method == "obtain"]
    assert call.arguments["wanted"] == Password(*GIVEN)


def test_it_is_never_chosen_or_offered_by_itself() -> None:
    assert "password" in FLOWS
    assert "password" not in flows_for([])
    assert [name for name, flow in FLOWS.items() if flow.asks_password] == ["password"]


@pytest.mark.parametrize(
    "address",
    [
        "https://login.microsoftonline.com/common",
        "https://login.microsoftonline.com/Consumers",
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad",
        "https://login.microsoftonline.us/common",
        "https://127.0.0.1:8443/common",
    ],
)
def test_nothing_is_asked_or_sent_at_an_authority_with_personal_accounts(address: str) -> None:
    engine = FakeEngine(parse(address))
    with pytest.raises(FlowUnavailable) as refused:
        next(password.run(engine, REQUEST))
    assert refused.value.code == "no_tenant"
    assert "--tenant" in refused.value.hint
    assert engine.calls == []


PERSONAL = [
    "ada@outlook.com", "ada@OUTLOOK.de", "ada@hotmail.co.uk", "ada@live.com", "ada@live.nl",
    "ada@live.com.au", "ada@msn.com", "ada@windowslive.com", " ada@outlook.com.br ",
]  # fmt: skip
WORK = [
    "ada@contoso.com", "ada@outlook.contoso.com", "outlook.com", "ada_outlook.com#EXT#@c.com",
    "ada@live.io", "ada@myoutlook.com", "ada@msn.company", "",
]  # fmt: skip


@pytest.mark.parametrize("name", PERSONAL)
def test_personal_accounts_are_refused_before_anything_is_sent(name: str) -> None:
    engine = FakeEngine(ENTRA)
    with pytest.raises(FlowUnavailable) as refused:
        next(password.run(engine, replace(REQUEST, login_hint=name)))
    assert refused.value.code == "personal_account"
    assert engine.calls == []
    steps, _ = asked(engine)
    again = steps.send((name, SecretStr(SECRET)))
    assert (again.refusal.code, again.attempt, again.username) == ("personal_account", 2, name)
    assert engine.count("obtain") == 0
    answer(steps, GIVEN)
    assert engine.count("obtain") == 1


@pytest.mark.parametrize("given", [("ada", "a\ud800b"), ("ad\udcffa", "right")])
def test_a_character_that_no_request_can_contain_is_asked_for_again(given: Any) -> None:
    """A lone surrogate: half of a pasted character, or a byte that is not UTF-8."""
    engine = FakeEngine()
    steps, _ = asked(engine)
    again = steps.send((given[0], SecretStr(given[1])))
    assert (again.refusal.code, again.attempt) == ("bad_character", 2)
    assert "Unicode" not in chained(again.refusal), "the error of the codec contains the password"
    assert engine.count("obtain") == 0
    answer(steps, GIVEN)


def chained(error: BaseException) -> str:
    """An error with its causes. The context may be an error that the test runner handles."""
    text, following = "", [error]
    while following:
        one = following.pop()
        text += f"{one!r} {getattr(one, 'object', '')!r}\n"
        following += [other for other in (one.__cause__, one.__context__) if other is not None]
    return text


def test_an_exception_of_another_type_keeps_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback has the frames that hold the password."""
    engine = FakeEngine()

    def broken(wanted: Any, request: Any) -> Any:
        raise KeyError(str(wanted.password))

    monkeypatch.setattr(engine, "obtain", broken)
    steps, _ = asked(engine)
    with pytest.raises(SignInError, match="KeyError") as failed:
        steps.send(GIVEN)
    assert SECRET not in chained(failed.value)


@pytest.mark.parametrize("name", WORK)
def test_other_accounts_are_not_refused(name: str) -> None:
    assert password.personal_account(ENTRA, name) is None


@pytest.mark.parametrize(
    "address",
    [ISSUER, "https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_ropc", "https://fs.c.com/adfs"],
)
def test_elsewhere_an_account_may_have_any_mail_address(address: str) -> None:
    engine = FakeEngine(parse(address))
    asked(engine, replace(REQUEST, login_hint="ada@outlook.com"))


def test_a_provider_whose_metadata_does_not_list_the_grant_is_not_asked() -> None:
    engine = FakeEngine().will("offer", Offer(ISSUER, grants=("authorization_code",)))
    with pytest.raises(FlowUnavailable) as refused:
        next(password.run(engine, REQUEST))
    assert refused.value.suggested_flow == "browser"
    assert engine.count("obtain") == 0
    for grants in (None, ("authorization_code", "password")):
        asked(FakeEngine().will("offer", Offer(ISSUER, grants=grants)))


WRONG = {
    "50126": refusal("invalid_grant", "AADSTS50126: Error validating credentials."),
    "50034": refusal("invalid_grant", "AADSTS50034: The user account does not exist."),
    "invalid_grant": refusal("invalid_grant", "Invalid user credentials"),
    "b2c": refusal("access_denied", "AADB2C90225: The username or password is invalid."),
    "unknown_user_type": refusal("unknown_user_type"),
    "wstrust": refusal("wstrust_password"),
}
WORDS = {
    "50126": "The user name or password is wrong. [AADSTS50126: Error validating credentials.]",
    "50034": "This user does not exist in this tenant. [AADSTS50034: The user account does not"
    " exist.]",
    "invalid_grant": "The provider did not accept this user name and password. [invalid_grant:"
    " Invalid user credentials]",
    "b2c": "The user name or password is wrong. [AADB2C90225: The username or password is"
    " invalid.]",
    "unknown_user_type": "The provider does not know the domain of this user name."
    " [unknown_user_type]",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_password_can_be_corrected_three_times_at_most(name: str) -> None:
    engine = FakeEngine().will("obtain", *[WRONG[name]] * 9)
    steps, step = asked(engine)
    for attempt in (2, 3):
        step = steps.send(GIVEN)
        assert (step.attempt, step.username, step.note) == (attempt, GIVEN[0], "")
        assert str(step.refusal) == WORDS.get(name, str(step.refusal))
        assert str(step.refusal) in message_of(step)
        assert step.refusal is not None
        assert step.refusal.hint
    with pytest.raises(NbAuthError) as ended:
        steps.send(GIVEN)
    assert str(ended.value) == str(step.refusal)
    assert ended.value.suggested_flow is None, "the flow works; the password does not"
    assert engine.count("obtain") == 3


def test_a_corrected_password_signs_in() -> None:
    engine = FakeEngine().will("obtain", WRONG["50126"])
    steps, _ = asked(engine)
    assert answer(steps, GIVEN, GIVEN).scopes == ("read",)


FINAL = [
    (refusal("invalid_grant", "AADSTS50076: Use MFA."), InteractionRequired, "browser"),
    (refusal("invalid_grant", "AADSTS50079: Enrol."), InteractionRequired, "browser"),
    (refusal("mfa_required"), InteractionRequired, "browser"),
    (refusal("interaction_required"), InteractionRequired, "browser"),
    (refusal("invalid_grant", "AADSTS65001: No consent."), InteractionRequired, "browser"),
    (refusal("invalid_grant", "AADSTS50055: Expired."), SignInError, "browser"),
    (refusal("invalid_grant", "AADSTS50053: Locked."), SignInError, None),
    (refusal("invalid_grant", "AADSTS50057: Disabled."), SignInError, None),
    (refusal("invalid_grant", "AADSTS999999: New."), SignInError, "browser"),
    (refusal("unauthorized_client"), NbAuthError, None),
    (refusal("unsupported_grant_type"), FlowUnavailable, None),
    (unreachable(), AuthorityUnreachable, None),
]


@pytest.mark.parametrize(("error", "kind", "flow"), FINAL)
def test_other_errors_end_the_flow_after_one_request(
    error: NbAuthError, kind: type[NbAuthError], flow: str | None
) -> None:
    engine = FakeEngine().will("obtain", error)
    steps, _ = asked(engine)
    with pytest.raises(kind) as ended:
        steps.send(GIVEN)
    assert ended.value.suggested_flow == flow
    assert engine.count("obtain") == 1


def test_an_error_does_not_hold_the_password() -> None:
    """Neither its traceback nor its cause, such as the request that could not be sent."""

    def fail() -> Any:
        try:
            raise ConnectionError(f"grant_type=password&password={SECRET}")
        except ConnectionError as cause:
            raise unreachable() from cause

    engine = FakeEngine().will("obtain", fail)
    steps, _ = asked(engine)
    with pytest.raises(AuthorityUnreachable) as ended:
        steps.send(GIVEN)
    error: BaseException = ended.value
    assert SECRET not in chained(error)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == password.__file__:
            assert SECRET not in {str(value) for value in trace.tb_frame.f_locals.values()}
            assert not any(isinstance(one, Password) for one in trace.tb_frame.f_locals.values())
        trace = trace.tb_next


def test_nothing_shows_or_pickles_the_password() -> None:
    wanted = Password(*GIVEN)
    assert SECRET not in repr(wanted) + repr(GIVEN)
    with pytest.raises(TypeError):
        pickle.dumps(wanted)
    steps, step = asked(FakeEngine(), replace(REQUEST, login_hint="ada@contoso.com"))
    assert "ada@contoso.com" not in repr(step)
    steps.close()


def test_an_authority_of_another_kind_is_checked_by_its_kind_only() -> None:
    password.check(Authority("oidc", "https://id.example/common"), REQUEST)
