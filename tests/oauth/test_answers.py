"""Responses in the forms that providers send."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    InteractionRequired,
    NbAuthError,
    SignInError,
)
from nbauth.core.scopes import Scopes
from nbauth.core.text import plain
from nbauth.oauth.answers import (
    LONGEST,
    UNTOLD,
    Told,
    access_token_in,
    error_in,
    expires_in,
    granted_scopes,
    refresh_expires_in,
    seconds,
    tokens_in,
    told_in,
)
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.http import Http
from tests.interop.peers import assert_plain
from tests.oauth.servers import Server, reply

ASKED = Scopes.parse(["openid", "read"], microsoft=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "access_token",
        "refresh_token",
        "id_token",
        "token_type",
        "expires_in",
        "scope",
        "error",
        "error_description",
        "error_codes",
        "errors",
        "errorCode",
        "detail",
        "message",
        "status",
        "code",
        "type",
        "correlation_id",
        "refresh_expires_in",
    ]
)
ANSWERS = st.dictionaries(NAMES, JSON, max_size=8)


# ── lifetimes ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (60, 60.0),
        (1.5, 1.5),
        ("60", 60.0),
        (" 60 ", 60.0),
        ("60.0", 60.0),
        ("+60", 60.0),
        (2**31 - 1, LONGEST),
        (2**63 - 1, LONGEST),
        (10**400, LONGEST),
        (1e300, LONGEST),
        ("9" * 20, LONGEST),
    ],
)
def test_a_valid_lifetime_is_used(told: object, read: float) -> None:
    assert seconds(told) == read
    assert expires_in({"expires_in": told}) == read
    for name in ("refresh_expires_in", "refresh_token_expires_in"):
        assert refresh_expires_in({name: told}) == read


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        " ",
        "soon",
        "60s",
        "1e3",
        "0x3c",
        "١٢" * 20,
        "9" * 5000,
        "nan",
        "inf",
        [],
        [60],
        {},
        {"in": 60},
        True,
        False,
        math.inf,
        -math.inf,
        math.nan,
        0,
        0.0,
        -0.0,
        -1,
        -60,
        "0",
        "-60",
        -(10**400),
    ],
    ids=lambda told: repr(told)[:20],
)
def test_an_invalid_lifetime_becomes_an_hour(told: object) -> None:
    """Also zero and less: some providers mean "never expires". An expired token gets a 401."""
    assert seconds(told) is None
    assert expires_in({"expires_in": told}) == UNTOLD == 3600
    assert (
        refresh_expires_in({"refresh_expires_in": told}) is None
    )  # Keycloak's 0: no fixed lifetime


def test_a_missing_lifetime_becomes_an_hour() -> None:
    assert expires_in({}) == UNTOLD
    assert refresh_expires_in({}) is None
    assert refresh_expires_in({"refresh_token_expires_in": None, "refresh_expires_in": 5}) == 5


# ── scopes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "granted"),
    [
        ("read", ["read"]),
        ("read write", ["read", "write"]),
        ("  read \t write\n", ["read", "write"]),
        ("read,write", ["read", "write"]),  # GitHub
        ("read, write", ["read", "write"]),
        ("read,write,", ["read", "write"]),
        ("a,b c", ["a,b", "c"]),  # a comma may be part of a scope (RFC 6749 §3.3)
        ("read read", ["read"]),
        (["read", "write"], ["read", "write"]),  # Twitch
        (["read write"], ["read", "write"]),
        (["read", 5, None, ["x"]], ["read"]),
        ("user:read:email https://api.example/.default", None),
    ],
)
def test_scopes_are_read_in_every_form(told: Any, granted: Any) -> None:
    assert granted_scopes({"scope": told}, ASKED) == tuple(granted or told.split())


@pytest.mark.parametrize("told", [None, "", " ", ",", [], [""], [None], 5, {}, True, "\u202e"])
def test_without_scope_the_requested_scopes_are_used(told: object) -> None:
    assert granted_scopes({"scope": told}, ASKED) == ("read", "openid")
    assert granted_scopes({}, ASKED) == ("read", "openid")


# ── errors ──────────────────────────────────────────────────────────────────────────────────

ERRORS: list[tuple[Any, str, str]] = [
    ({"error": "invalid_grant", "error_description": "Gone."}, "invalid_grant", "Gone."),
    ({"error": "invalid_grant", "error_description": None}, "invalid_grant", ""),
    ({"error": "invalid_grant", "error_description": "invalid_grant"}, "invalid_grant", ""),
    ({"error": "AUTHORIZATION_PENDING"}, "authorization_pending", ""),
    ({"error": "Slow_Down"}, "slow_down", ""),
    ({"error": "slow-down"}, "slow_down", ""),
    ({"error": "Access Denied"}, "access_denied", ""),
    ({"error": "NotAuthorizedException"}, "NotAuthorizedException", ""),
    ({"error": "The token is bad; see the log!"}, "", "The token is bad; see the log!"),
    ({"error": "x" * 81}, "", "x" * 81),
    ({"error": 5, "error_description": 7}, "5", ""),
    ({"error": True}, "", ""),
    ({"error": {"a": 1}}, "", ""),
    ({"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}, "invalid_argument",
     "No."),
    ({"error": {"message": "No.", "type": "OAuthException", "code": 190}}, "OAuthException", "No."),
    ({"error": {"code": 5}}, "5", ""),
    ({"error": ["access_denied"]}, "access_denied", ""),
    ({"error": [{"code": "E1", "message": "No."}]}, "E1", "No."),
    ({"error": "denied", "error_description": {"message": "No."}}, "denied", "No."),
    ({"error": "denied", "error_description": ["No.", "Never."]}, "denied", "No."),
    ({"errorCode": "E0000011", "errorSummary": "Invalid token", "errorCauses": []}, "E0000011",
     "Invalid token"),
    ({"errorCauses": [{"errorSummary": "Why"}]}, "", "Why"),
    ({"status": 400, "message": "Invalid refresh token"}, "", "Invalid refresh token"),
    ({"status": 400, "message": "authorization_pending"}, "authorization_pending", ""),
    ({"statusCode": 401, "error": "Unauthorized", "message": "No."}, "unauthorized", "No."),
    ({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "No."},
     "bad_request", "No."),
    ({"detail": "No."}, "", "No."),
    ({"detail": [{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}]},
     "value_error.missing", "field required"),
    ({"errors": [{"code": "x1", "title": "T", "detail": "No."}]}, "x1", "No."),
    ({"errors": [{"message": "No."}]}, "", "No."),
    ({"errors": ["No.", "Never."]}, "", "No."),
    ([{"errorCode": "INVALID_SESSION_ID", "message": "No."}], "invalid_session_id", "No."),
    ([5, {"error": "denied"}], "denied", ""),
    ({"__type": "NotAuthorizedException", "message": "No."}, "NotAuthorizedException", "No."),
    ({"ok": False, "error": "invalid_code"}, "invalid_code", ""),
    ({"message": "Internal server error"}, "", "Internal server error"),
    ({"access_token": "a", "error": "denied"}, "denied", ""),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "word", "text"), ERRORS, ids=lambda value: str(value)[:40])
def test_errors_are_read_in_every_form(answer: Any, word: str, text: str) -> None:
    assert told_in(answer) == Told(word, text)
    assert error_in(answer) == Told(word, text)
    error = error_from(answer, 403)
    assert error.code == (word or "http_403")
    assert text in str(error)
    assert "403" in str(error)
    assert_plain(error)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        5,
        "text",
        {"error": None},
        {"error": ""},
        {"error": False},
        {"access_token": "a", "error": None, "error_description": None},
        {"access_token": "a", "message": "Welcome.", "detail": ["x"], "status": 200},
        {"device_code": "d", "message": "To sign in, open …"},
        {"sub": "ada", "name": "Ada", "title": "Countess", "type": "User", "status": "active"},
    ],
    ids=repr,
)
def test_responses_that_are_not_errors(answer: Any) -> None:
    assert error_in(answer) is None


def test_error_codes_are_normalised() -> None:
    assert type(error_from({"error": "INVALID_GRANT"})) is InteractionRequired
    assert type(error_from({"error": "Invalid Client"})) is ConfigurationError


def test_the_message_names_an_http_status_other_than_400() -> None:
    denied = {"error": "teapot", "error_description": "Short."}
    assert str(error_from(denied, 400)) == "The provider refused the request. [teapot: Short.]"
    assert (
        str(error_from(denied, 418))
        == "The provider refused the request. [teapot: Short.] (HTTP 418)"
    )
    assert str(error_from({}, 418)) == "The provider refused the request. [http_418]"
    assert error_from({}, 200).code == error_from({}).code == "unknown_error"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html><head><TITLE>Bad &amp; Gateway</TITLE></head></html>", ": Bad & Gateway"),
        ("<title>502 Bad Gateway</title>", ": {}Bad Gateway"),
        ("<title>\u202e\x1b[31m" + "x" * 5000 + "</title>", ": [31m" + "x" * 76),
        ('{"error": "server_error", "error_description": "Down."}', ": Down."),
        ('{"errorCode": "E0000047", "errorSummary": "Too many."}', ": Too many."),
        ('{"message": "Internal Server Error"}', ": Internal Server Error"),
        ('{"error": "temporarily_unavailable"}', ": temporarily_unavailable"),
        ("<html>", ""),
        ("", ""),
        ("{", ""),
        ("[" * 5000, ""),
        ("[5, null]", ""),
    ],
    ids=range(12),
)
def test_a_server_error_includes_the_text_of_its_page(status: int, body: str, said: str) -> None:
    with Server(answer=reply(status, body)) as server, pytest.raises(AuthorityUnreachable) as down:
        Http().get(server.url)
    said = said.format("" if status == 502 else "502 ")
    assert str(down.value).endswith(f" returned HTTP {status}{said}.")
    assert down.value.code == f"http_{status}"


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([50076], "AADSTS50076"),
        (["50076"], "AADSTS50076"),
        ([True, None, {"a": 1}, "x" * 9000, -5, 10**30], "teapot"),
        (["<b>", "50076\n"], "teapot"),
        ("50076", "teapot"),
        ([1] * 10_000, "teapot"),
    ],
)
def test_error_codes_are_numbers(codes: Any, code: str) -> None:
    error = error_from({"error": "teapot", "error_codes": codes})
    assert error.code == code
    assert len(str(error)) < 300


def test_deeply_nested_errors_are_read_up_to_a_limit() -> None:
    deep: Any = "denied"
    for _ in range(400):
        deep = {"error": deep, "errors": [deep]}
    assert isinstance(error_from(deep), SignInError)


@settings(max_examples=100, deadline=None)
@given(answer=ANSWERS | JSON, status=st.none() | st.integers(200, 599))
def test_any_error_response_gives_a_printable_error(answer: Any, status: int | None) -> None:
    error = error_from(answer, status)
    assert isinstance(error, NbAuthError)
    assert_plain(error, 900)
    assert error.code
    assert error.code.isascii()
    assert error.code.isprintable()
    assert len(error.code) <= 100


@settings(max_examples=100, deadline=None)
@given(answer=ANSWERS)
def test_any_object_gives_a_token_response(answer: dict[str, Any]) -> None:
    response = tokens_in(answer, ASKED, {})
    assert 0 < response.expires_in <= LONGEST
    assert response.grant_ends_on is None or math.isfinite(response.grant_ends_on)
    assert response.scopes
    assert all(scope and scope.isprintable() for scope in response.scopes)
    for shown in (response.token_type, response.correlation_id or ""):
        assert shown == plain(shown)
    for name in ("access_token", "refresh_token", "id_token"):
        token = getattr(response, name)
        assert not token or token == answer[name]
    json.dumps([response.expires_in, response.scopes])


@pytest.mark.parametrize(
    "token", ["a\nb", "a\r\nX: y", "a\0", "tökén", "\u2028", "", " \t", 7, None]
)
def test_an_access_token_that_no_header_can_have_is_none(token: Any) -> None:
    assert access_token_in({"access_token": token}) == ""


@pytest.mark.parametrize("token", ["a", "a b", "~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}"])
def test_an_access_token_of_any_visible_characters(token: str) -> None:
    assert access_token_in({"access_token": token}) == token
