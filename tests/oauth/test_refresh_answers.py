"""An invalid field in a refresh response: its other values are not lost."""

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
    """Returns these JSON bodies in turn, after the metadata."""

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
def test_a_rejected_response_passes_on_its_refresh_token(
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
def test_an_invalid_response_passes_on_nothing(
    make: Callable[[], Engine], answer: dict[str, Any]
) -> None:
    with pytest.raises(NbAuthError) as caught:
        refreshed(make(), **{"access_token": None, **answer})
    assert caught.value.rotated is None


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize("blank", ["", " ", "\n", None, 5])
def test_an_empty_refresh_token_is_ignored(make: Callable[[], Engine], blank: object) -> None:
    assert refreshed(make(), refresh_token=blank).refresh_token is None


@pytest.mark.parametrize("make", [openid, microsoft])
def test_an_old_id_token_in_a_refresh_response_is_accepted(make: Callable[[], Engine]) -> None:
    """Some providers send the first one again (OpenID Connect Core §12.2 allows it)."""
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
def test_unusual_fields_beside_the_tokens_are_accepted(
    make: Callable[[], Engine], odd: dict[str, Any]
) -> None:
    response = refreshed(make(), **odd)
    assert (response.access_token, response.refresh_token) == ("a", "successor")
    assert (response.expires_in, response.scopes) == (3600, ("read",))
    assert (response.token_type, response.refresh_expires_in) == ("Bearer", None)


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize("answer", [None, [], [5], 7, "text", True], ids=repr)
def test_a_response_that_is_not_an_object_is_an_error(
    make: Callable[[], Engine], answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """MSAL would log it as an error, which Python prints with a traceback."""
    engine = make()
    engine._http.mount("https://", Canned(answer))  # type: ignore[attr-defined]
    request = AuthorizationRequest(READ)
    for ask in (lambda: engine.refresh("spent", READ), lambda: engine.start_device(request)):
        with pytest.raises(SignInError) as caught:
            ask()
        assert caught.value.code in {"not_understood", "device_answer"}
        assert re.search("empty|not a JSON object", str(caught.value))
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
def test_an_unusual_error_does_not_break_the_next_request(
    make: Callable[[], Engine], odd: dict[str, Any]
) -> None:
    """MSAL would put the last error into the headers of its next request."""
    engine = make()
    for _ in range(2):
        with pytest.raises(NbAuthError):
            refreshed(engine, **odd)
        assert refreshed(engine).access_token == "a"


# ── refused refresh ─────────────────────────────────────────────────────────────────────────

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
def test_a_refresh_token_that_is_refused_with_any_code_is_invalid(status: int, answer: Any) -> None:
    error = refused(openid(), status, answer)
    assert isinstance(error, InteractionRequired), error
    assert "%login" in error.hint
    assert ends_the_grant(error)


@pytest.mark.parametrize("number", [None, 16000, 50034, 50076])
@pytest.mark.parametrize("make", [openid, microsoft])
def test_interaction_required_is_recognised_with_any_number(
    make: Callable[[], Engine], number: int | None
) -> None:
    """A number that is unknown (16000), or has another meaning in the catalogue (50034)."""
    told = f"AADSTS{number}: More proof." if number else "More proof."
    answer = {"error": "interaction_required", "error_description": told}
    assert not ends_the_grant(refused(make(), 400, answer))


@pytest.mark.parametrize("word", ["temporarily_unavailable", "invalid_scope", "invalid_client"])
def test_a_number_does_not_hide_a_code_that_does_not_concern_the_refresh_token(word: str) -> None:
    answer = {"error": word, "error_description": "AADSTS50034: Known, and of another kind."}
    assert not ends_the_grant(refused(openid(), 400, answer))


@pytest.mark.parametrize(
    ("status", "answer"),
    [(401, {"message": "Unauthorized"}), (400, {}), (401, []), (401, None), (400, None)],
)
def test_a_status_alone_requires_a_sign_in_but_keeps_the_grant(status: int, answer: Any) -> None:
    """A gateway may have sent it."""
    error = refused(openid(), status, answer)
    assert isinstance(error, InteractionRequired), error
    assert "%login" in error.hint
    assert not ends_the_grant(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("make", [openid, microsoft])
def test_a_refused_metadata_request_does_not_end_the_grant(
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
def test_an_error_that_does_not_concern_the_refresh_token_does_not_end_the_grant(
    make: Callable[[], Engine], status: int, answer: Any
) -> None:
    assert not isinstance(refused(make(), status, answer), InteractionRequired)


def test_a_refused_claims_challenge_does_not_end_the_grant() -> None:
    error = refused(openid(), 400, {"error": "invalid_request"}, claims='{"access_token": {}}')
    assert not isinstance(error, InteractionRequired)


def test_at_microsoft_invalid_request_does_not_end_the_grant() -> None:
    assert not isinstance(
        refused(microsoft(), 400, {"error": "invalid_request"}), InteractionRequired
    )


def test_a_refresh_is_for_all_granted_scopes_except_at_microsoft() -> None:
    for make, scope in ((openid, False), (microsoft, True)):
        engine, canned = make(), Canned({"access_token": "a", "expires_in": 60})
        engine._http.mount("https://", canned)  # type: ignore[attr-defined]
        response = engine.refresh("spent", READ, granted=("read", "write"))
        assert ("scope" in canned.sent) is scope
        assert response.scopes == (("read",) if scope else ("read", "write"))


@pytest.mark.parametrize("told", ["read write", ["read", "write"], "read  write", ["read write"]])
def test_scopes_are_read_in_every_form(told: object) -> None:
    assert refreshed(openid(), scope=told).scopes == ("read", "write")


def test_an_insecure_userinfo_endpoint_does_not_fail_the_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code was already redeemed when the address was rejected."""
    monkeypatch.setitem(METADATA, "userinfo_endpoint", "http://id.example/userinfo")
    engine = openid()
    engine._http.mount("https://", Canned({}))  # type: ignore[attr-defined]
    token = {"access_token": "a", "id_token": an_id_token(exp=time.time() + 900)}
    assert engine._response(token, READ).id_token_claims["sub"] == "ada"  # type: ignore[attr-defined]
