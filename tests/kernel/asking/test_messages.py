"""What a worker and the kernel say to each other, also if one of them is of another version."""

from __future__ import annotations

import copy
import gc
import json
import math
import traceback
import weakref
from typing import Any

import pytest

from nbauth.core import errors
from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import NbAuthError, TokenError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.asking import messages
from nbauth.kernel.asking.messages import Question, answer_with, answer_with_error, read_answer
from nbauth.oauth.challenge import Requirement
from nbauth.testing.clock import FakeClock

ADA = Account("ada@example.com", "Ada", "t", "ada", "https://id.example", "p", "notebooks")
READ = Scopes.parse(("read", "openid"), microsoft=False)


def plain(message: Any) -> Any:
    return json.loads(json.dumps(message))


def result(left: float, now: float) -> AuthenticationResult:
    return AuthenticationResult(
        access_token=SecretStr("secret"),
        token_type="Bearer",
        expires_on=now + left,
        scopes=("read",),
        account=ADA,
        tenant_id="t",
        unique_id="ada",
        id_token=SecretStr("identity"),
        id_token_claims={"sub": "ada"},
        correlation_id=None,
        source="cache",
    )


@pytest.mark.parametrize(
    "required",
    [
        None,
        Requirement('{"access_token":{}}', host="api.example"),
        Requirement(None, "gold", 60, renewable=False, host="api.example"),
    ],
)
@pytest.mark.parametrize("account", [None, ADA.key])
@pytest.mark.parametrize("scopes", [READ, READ.declaring()])
def test_a_question_arrives_as_it_was_asked(
    required: Requirement | None, account: AccountKey | None, scopes: Scopes
) -> None:
    question = Question.of("name", scopes, "refused token", required, account)
    sent = plain(question.plain())
    assert "refused token" not in repr(sent)
    read = Question.read(sent)
    assert read == question
    assert read.declares == scopes.declares
    if required is not None and read.required is not None:
        assert (read.required.renewable, read.required.host) == (
            required.renewable,
            required.host,
        )


FOREIGN = [None, 7, math.nan, "x" * 100_000, "\x00\r\n", [], [None], {}, {"a": 1}, True, b"x"]


def damaged(message: dict[str, Any]) -> list[Any]:
    """Messages with another value, or none, in one place."""
    made: list[Any] = [*FOREIGN, {**message, "version": 2}, {**message, "version": "1"}]
    for name, value in message.items():
        without = {other: it for other, it in message.items() if other != name}
        made += [without, *({**message, name: it} for it in FOREIGN)]
        if isinstance(value, dict):
            made += [{**message, name: it} for it in damaged(value)]
    return made


def test_any_other_question_is_an_error_that_says_so() -> None:
    required = Requirement("{}", "gold", 60, renewable=False, host="api.example")
    whole = Question.of("name", READ, "gone", required, ADA.key).plain()
    read, refused = 0, 0
    for message in damaged(whole):
        try:
            question = Question.read(message)
        except TokenError as error:
            refused += error.code == "other_version"
        else:
            read += 1
            assert question.scopes in (READ and tuple(READ), ())
            assert isinstance(question.key, frozenset)
    assert refused > 60
    assert read < 30  # other texts, and fields that may be empty


def test_any_other_answer_is_an_error_that_says_so() -> None:
    whole = answer_with(result(60, 0), 60)
    refused = 0
    for message in damaged(whole):
        try:
            lent = read_answer(message)
        except TokenError as error:
            refused += error.code == "other_version"
        else:
            assert isinstance(lent.response.access_token, SecretStr)
            assert all(isinstance(value, str | bool) for value in vars(lent.account).values())
            assert math.isfinite(lent.response.received_at + lent.response.expires_in)
    assert refused > 100
    for field in ("left", "lifetime"):
        for number in (math.inf, -math.inf, math.nan):
            with pytest.raises(TokenError):
                read_answer({**whole, field: number})


def test_an_account_with_other_fields_is_of_another_version() -> None:
    whole = answer_with(result(60, 0), 60)
    for change in ({"more": "x"}, {"username": None}, {"application": 1}):
        with pytest.raises(TokenError) as caught:
            read_answer({**whole, "account": {**whole["account"], **change}})
        assert caught.value.code == "other_version"


def test_an_error_keeps_no_message_alive() -> None:
    """One shared error would collect the frames of all calls, and the tokens in them."""

    class Message(dict[str, Any]):
        pass

    kept = []
    for _ in range(3):
        message = Message(copy.deepcopy(answer_with(result(60, 0), 60)), left="wrong")
        kept.append(weakref.ref(message))
        with pytest.raises(TokenError):
            read_answer(message)
        with pytest.raises(TokenError):
            Question.read(message)
        del message
    gc.collect()
    assert [one() for one in kept] == [None] * 3


@pytest.mark.parametrize("ahead", [-5 * 3600, 0, 5 * 3600])
@pytest.mark.parametrize(
    ("left", "lifetime"), [(0, 3600), (-10, 60), (1.5, 2), (3000, 3600), (86000, 86400)]
)
def test_the_clocks_of_the_machines_may_differ(
    monkeypatch: pytest.MonkeyPatch, ahead: float, left: float, lifetime: float
) -> None:
    kernels, workers = FakeClock(1_000_000), FakeClock(1_000_000 + ahead)
    monkeypatch.setattr(messages, "time", kernels)
    sent = plain(answer_with(result(left, kernels.time()), lifetime))
    monkeypatch.setattr(messages, "time", workers)
    response = read_answer(sent).response
    assert response.expires_in == lifetime
    assert response.received_at + response.expires_in == pytest.approx(workers.time() + left)
    assert response.refresh_token is response.id_token is None


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, NbAuthError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_arrives_as_it_was_raised(kind: type[NbAuthError]) -> None:
    error = kind("What.", code="c", hint="Do.", correlation_id="1-2", timestamp="now")
    with pytest.raises(kind) as caught:
        read_answer(plain(answer_with_error(error)))
    assert type(caught.value) is kind
    assert caught.value.lines() == error.lines()
    assert caught.value.code == "c"


@pytest.mark.parametrize("kind", ["", "Unheard", "Callable", "BROWSER", "traceback", "__name__"])
def test_an_error_of_an_unknown_kind_is_one_of_a_token(kind: str) -> None:
    told = {"kind": kind, "message": "What.", "hint": 7, "code": None, "timestamp": []}
    with pytest.raises(TokenError, match=r"What\.") as caught:
        read_answer({"version": 1, "error": told})
    assert len(caught.value.lines()) == 2


def test_an_error_has_no_frame_that_shows_the_token() -> None:
    """A traceback in the mode Verbose shows the variables of its frames."""
    odd = plain(answer_with(result(3600, 0.0), 3600)) | {"scopes": [7]}
    with pytest.raises(TokenError) as caught:
        read_answer(odd)
    shown = [
        repr(frame.f_locals)
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if frame.f_code.co_filename == messages.__file__
    ]
    assert shown
    assert not any("secret" in text.lower() for text in shown)
