"""A refresh answer with a fault in one field: what else it brings is not lost."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from requests.adapters import BaseAdapter

from nbauth.core.errors import InteractionRequired, NbAuthError, SignInError
from nbauth.core.scopes import Scopes
from nbauth.kernel.accounts.refresh_errors import ends_the_grant
from nbauth.oauth.authorities import Authority, parse
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.engines.openid import OpenIDEngine
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine

TENANT = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"
ISSUER = f"{TENANT}/v2.0"
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "device_authorization_endpoint",
)
METADATA = {"issuer": ISSUER, **{name: f"{ISSUER}/{name}" for name in ENDPOINTS}}
READ = Scopes.parse(["read"], microsoft=False)


class Canned(BaseAdapter):
    """Answers with these JSON bodies; the sign-in's own address is asked for first."""

    def __init__(self, token: Any, status: int = 200) -> None:
        super().__init__()
        self.token = token
        self.status = status
        self.sent: dict[str, list[str]] = {}
        self.metadata = True

    def send(self, request: Any, **_: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        known = self.metadata and "well-known" in request.url
        response.status_code = 200 if known else self.status
        body = (
            ""
            if self.token is None and not known
            else json.dumps(METADATA if known else self.token)
        )
        if not known:
            self.sent = parse_qs(str(request.body))
        response.raw = io.BytesIO(body.encode())
        response.url, response.request = request.url, request
        return response

    def close(self) -> None:
        pass


def openid() -> Engine:
    return OpenIDEngine(Authority("oidc", ISSUER), "notebooks")


def microsoft() -> Engine:
    return MicrosoftEngine(parse(TENANT), "notebooks")


def refreshed(engine: Engine, **answer: Any) -> Any:
    token = {"access_token": "a", "expires_in": 3600, "refresh_token": "successor", **answer}
    engine._http.mount("https://", Canned(token))  # type: ignore[attr-defined]
    return engine.refresh("spent", READ)


def an_id_token(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    whole = {"iss": ISSUER, "aud": "notebooks", "sub": "ada", "exp": time.time() - 900, **claims}
    return f"{part({'alg': 'RS256'})}.{part(whole)}.AAAA"


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize(
    "odd",
    [
        {"id_token": an_id_token(iss="https://issuer.invalid")},
        {"id_token": an_id_token(aud="another", exp=time.time() + 900)},
        {"id_token": "no token"},
        {"expires_in": "soon", "id_token": "no token"},
        {"id_token": 5},
        {"access_token": None},
        {"access_token": ["a"]},
        {"access_token": ""},
        {"error": None, "access_token": {}},
    ],
)
def test_a_refused_answer_hands_its_refresh_token_on(
    make: Callable[[], Engine], odd: dict[str, Any]
) -> None:
    with pytest.raises(NbAuthError) as caught:
        refreshed(make(), **odd)
    assert str(caught.value.rotated) == "successor"
    assert "successor" not in repr(vars(caught.value))


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize(
    "answer",
    [
        {"error": "invalid_grant"},
        {"refresh_token": 5},
        {"refresh_token": " "},
        {"refresh_token": ["successor"]},
        {"refresh_token": None},
        {"refresh_token": "spent"},
    ],
)
def test_an_answer_that_is_none_hands_nothing_on(
    make: Callable[[], Engine], answer: dict[str, Any]
) -> None:
    with pytest.raises(NbAuthError) as caught:
        refreshed(make(), **{"access_token": None, **answer})
    assert caught.value.rotated is None


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize("blank", ["", " ", "\n", None, 5])
def test_a_blank_refresh_token_replaces_none(make: Callable[[], Engine], blank: object) -> None:
    assert refreshed(make(), refresh_token=blank).refresh_token is None


@pytest.mark.parametrize("make", [openid, microsoft])
def test_yesterdays_id_token_is_no_reason_to_lose_the_tokens(make: Callable[[], Engine]) -> None:
    """Some send the first one again (OpenID Connect Core §12.2 leaves its times open)."""
    response = refreshed(make(), id_token=an_id_token(exp=time.time() - 86400))
    assert (response.access_token, response.refresh_token) == ("a", "successor")
    assert response.id_token_claims["sub"] == "ada"


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize(
    "odd",
    [
        {"error": None, "error_description": None},
        {"error": "", "error_codes": None},
        {"id_token": None, "scope": None, "token_type": None, "client_info": None},
        {"expires_in": None, "ext_expires_in": None, "refresh_in": None},
        {"expires_in": "soon", "ext_expires_in": [], "refresh_in": {"in": 5}},
        {"expires_in": True, "refresh_in": "1e3", "interval": None},
        {"expires_in": -1, "refresh_token_expires_in": "never"},
        {"expires_at": "tomorrow", "client_info": 5, "correlation_id": {"a": 1}},
        {"message": "Welcome back.", "status": 200, "detail": ["x"]},
    ],
    ids=repr,
)
def test_an_odd_answer_with_tokens_is_an_answer(
    make: Callable[[], Engine], odd: dict[str, Any]
) -> None:
    response = refreshed(make(), **odd)
    assert (response.access_token, response.refresh_token) == ("a", "successor")
    assert (response.expires_in, response.scopes) == (3600, ("read",))
    assert (response.token_type, response.refresh_expires_in) == ("Bearer", None)


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize("answer", [None, [], [5], 7, "text", True], ids=repr)
def test_an_answer_that_is_no_object_is_named(
    make: Callable[[], Engine], answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """MSAL logs an empty one as an error, and Python writes that with its traceback."""
    engine = make()
    engine._http.mount("https://", Canned(answer))  # type: ignore[attr-defined]
    request = AuthorizationRequest(READ)
    for ask in (lambda: engine.refresh("spent", READ), lambda: engine.start_device(request)):
        with pytest.raises(SignInError) as caught:
            ask()
        assert caught.value.code in {"not_understood", "device_answer"}
        assert re.search("empty|no JSON object", str(caught.value))
        assert caught.value.rotated is None
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize(
    "odd",
    [
        {"error": {"code": 5}},
        {"error": ["access_denied"]},
        {"error": "\u65e5\u672c"},
        {"error": "two\nlines\x00"},
        {"error": 5},
        {"error": None, "access_token": None},
    ],
    ids=repr,
)
def test_an_odd_error_is_not_remembered(make: Callable[[], Engine], odd: dict[str, Any]) -> None:
    """MSAL keeps the last error for the headers of its next request, which then fail."""
    engine = make()
    for _ in range(2):
        with pytest.raises(NbAuthError):
            refreshed(engine, **odd)
        assert refreshed(engine).access_token == "a"


# ── what is refused ─────────────────────────────────────────────────────────────────────────

NO = [
    (400, {"error": "invalid_grant"}),
    (400, {"error": "invalid_request"}),
    (401, {"error": "unauthorized"}),
    (400, {"error": "access_denied", "error_description": "revoked"}),
    (400, {"error": "expired_token"}),
    (401, {"error": "invalid_token"}),
    (400, {"error": "Refresh token is not valid"}),
    (401, {"errorCode": "E0000011", "errorSummary": "Invalid token provided"}),
    (200, {"error": "bad_refresh_token", "error_description": "incorrect or expired"}),  # GitHub
]


def refused(engine: Engine, status: int, answer: Any, claims: str | None = None) -> NbAuthError:
    engine._http.mount("https://", Canned(answer, status))  # type: ignore[attr-defined]
    with pytest.raises(NbAuthError) as caught:
        engine.refresh("spent", READ, claims)
    return caught.value


@pytest.mark.parametrize(("status", "answer"), NO)
def test_a_refresh_token_that_is_refused_in_any_words_is_dead(status: int, answer: Any) -> None:
    error = refused(openid(), status, answer)
    assert isinstance(error, InteractionRequired), error
    assert "%login" in error.hint
    assert ends_the_grant(error)


@pytest.mark.parametrize("number", [None, 16000, 50034, 50076])
@pytest.mark.parametrize("make", [openid, microsoft])
def test_more_proof_is_asked_for_by_the_word_whatever_the_number(
    make: Callable[[], Engine], number: int | None
) -> None:
    """One that is unknown (16000), or that says another thing beside another word (50034)."""
    told = f"AADSTS{number}: More proof." if number else "More proof."
    answer = {"error": "interaction_required", "error_description": told}
    assert not ends_the_grant(refused(make(), 400, answer))


@pytest.mark.parametrize("word", ["temporarily_unavailable", "invalid_scope", "invalid_client"])
def test_a_number_does_not_hide_a_word_that_says_nothing_of_the_refresh_token(word: str) -> None:
    answer = {"error": word, "error_description": "AADSTS50034: Known, and of another kind."}
    assert not ends_the_grant(refused(openid(), 400, answer))


@pytest.mark.parametrize(
    ("status", "answer"),
    [(401, {"message": "Unauthorized"}), (400, {}), (401, []), (401, None), (400, None)],
)
def test_a_status_alone_asks_for_a_sign_in_and_ends_nothing(status: int, answer: Any) -> None:
    """It may be a gateway's."""
    error = refused(openid(), status, answer)
    assert isinstance(error, InteractionRequired), error
    assert "%login" in error.hint
    assert not ends_the_grant(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("make", [openid, microsoft])
def test_metadata_that_are_refused_say_nothing_of_the_refresh_token(
    make: Callable[[], Engine], status: int
) -> None:
    engine, canned = make(), Canned(None, status)
    canned.metadata = False
    engine._http.mount("https://", canned)  # type: ignore[attr-defined]
    with pytest.raises(NbAuthError) as caught:
        engine.refresh("spent", READ)
    assert not isinstance(caught.value, InteractionRequired)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": "invalid_scope"}),
        (401, {"error": "invalid_client"}),
        (400, {"error": "unauthorized_client"}),
        (400, {"error": "unsupported_grant_type"}),
        (400, {"error": "temporarily_unavailable"}),
        (403, {"message": "Forbidden"}),
        (404, {"error": "not_found"}),
        (429, {"error": "invalid_grant"}),
        (500, {"error": "invalid_grant"}),
        (503, None),
        (200, {"error": "server_error"}),
        (200, {"error": "incorrect_client_credentials"}),
    ],
)
@pytest.mark.parametrize("make", [openid, microsoft])
def test_what_says_nothing_of_the_refresh_token_does_not_end_it(
    make: Callable[[], Engine], status: int, answer: Any
) -> None:
    assert not isinstance(refused(make(), status, answer), InteractionRequired)


def test_a_claims_challenge_that_is_refused_does_not_end_the_sign_in() -> None:
    error = refused(openid(), 400, {"error": "invalid_request"}, claims='{"access_token": {}}')
    assert not isinstance(error, InteractionRequired)


def test_at_microsoft_a_bad_request_may_be_about_the_scopes() -> None:
    assert not isinstance(
        refused(microsoft(), 400, {"error": "invalid_request"}), InteractionRequired
    )


def test_a_refresh_is_for_all_that_was_granted_but_at_microsoft() -> None:
    for make, scope in ((openid, False), (microsoft, True)):
        engine, canned = make(), Canned({"access_token": "a", "expires_in": 60})
        engine._http.mount("https://", canned)  # type: ignore[attr-defined]
        response = engine.refresh("spent", READ, granted=("read", "write"))
        assert ("scope" in canned.sent) is scope
        assert response.scopes == (("read",) if scope else ("read", "write"))


@pytest.mark.parametrize("told", ["read write", ["read", "write"], "read  write", ["read write"]])
def test_scopes_are_read_in_whatever_form_they_come(told: object) -> None:
    assert refreshed(openid(), scope=told).scopes == ("read", "write")


def test_a_userinfo_address_that_is_not_safe_costs_a_name_and_no_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code was spent already when the address was refused."""
    monkeypatch.setitem(METADATA, "userinfo_endpoint", "http://id.example/userinfo")
    engine = openid()
    engine._http.mount("https://", Canned({}))  # type: ignore[attr-defined]
    token = {"access_token": "a", "id_token": an_id_token(exp=time.time() + 900)}
    assert engine._response(token, READ).id_token_claims["sub"] == "ada"  # type: ignore[attr-defined]
