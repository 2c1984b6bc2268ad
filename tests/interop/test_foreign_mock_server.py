"""oauth2-mock-server: token responses in unusual forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.errors import (
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    SignInDeclined,
    SignInError,
)
from nbauth.kernel.session import Session
from tests.harness.certificates import Certificates
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.mock_server import MockServer, running_mock_server
from tests.interop.foreign.provider import Foreign
from tests.interop.foreign.suite import EveryProvider, environment, forms, session
from tests.interop.peers import assert_plain, screen_of

__all__ = ["environment", "forms", "session"]
pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def server(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MockServer]:
    with running_mock_server(certificates, tmp_path_factory.mktemp("mock_server")) as made:
        yield made


@pytest.fixture
def mock(server: MockServer) -> MockServer:
    """Default responses, with the requested scopes in the token response."""
    server.order()
    return server


@pytest.fixture
def foreign(mock: MockServer) -> Foreign:
    return mock.foreign


class TestMockServer(EveryProvider):
    """With a token response without scope, so that all requested scopes are granted."""

    @pytest.fixture(autouse=True)
    def as_asked(self, mock: MockServer) -> None:
        mock.order(leave_out=["scope"])


ANSWERS: dict[str, Any] = {
    "scope_less": {"answer": {"scope": "openid api.read"}},
    "scope_list": {"answer": {"scope": ["openid", "api.read"]}},
    "scope_commas": {"answer": {"scope": "openid,api.read"}},
    "scope_null": {"answer": {"scope": None}},
    "scope_empty": {"answer": {"scope": ""}},
    "expires_in_absent": {"leave_out": ["expires_in"]},
    "expires_in_text": {"answer": {"expires_in": "1800"}},
    "expires_in_null": {"answer": {"expires_in": None}},
    "expires_in_word": {"answer": {"expires_in": "soon"}},
    "token_type_small": {"answer": {"token_type": "bearer"}},
    "error_null": {"answer": {"error": None}},
    "aud_list": {"claims": {"aud": ["an-api", "notebooks"], "azp": "notebooks"}},
    "aud_list_of_one": {"claims": {"aud": ["notebooks"]}},
    "azp_null": {"claims": {"azp": None}},
    "many_groups": {"claims": {"groups": [f"group-{number:04}-of-many" for number in range(400)]}},
}


@pytest.mark.parametrize("told", ANSWERS.values(), ids=ANSWERS)
def test_a_token_response_in_another_form(
    session: Session, mock: MockServer, forms: FormBrowser, told: dict[str, Any]
) -> None:
    """Sign-in and refresh succeed, and the account is the same."""
    scope = [] if "scope" in told.get("answer", {}) else ["scope"]  # it would be "dummy"
    mock.order(**{**told, "leave_out": [*told.get("leave_out", []), *scope]})
    account = session.login("api.read", web_ui=forms)
    screen_of(session).there = False
    assert account.home_account_id == "johndoe"
    assert session.acquire("api.read").source == "cache"
    result = session.acquire("api.read", force_refresh=True)
    assert (result.source, result.account) == ("refresh", account)
    assert "api.read" in result.scopes
    assert result.expires_on > 0


@pytest.mark.parametrize(
    "algorithm",
    [
        *("RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"),
        "EdDSA",
    ],
)
@pytest.mark.filterwarnings("error")
def test_algorithms_of_id_tokens(
    session: Session, mock: MockServer, forms: FormBrowser, algorithm: str
) -> None:
    mock.order(algorithm=algorithm)
    account = session.login("api.read", web_ui=forms)
    assert account.home_account_id == "johndoe"
    assert session.acquire("api.read", force_refresh=True).account == account


def test_a_granted_scope_that_was_not_requested(
    session: Session, mock: MockServer, forms: FormBrowser
) -> None:
    """By default it grants ``dummy``; this is reported once."""
    session.login("api.read", web_ui=forms)
    said = screen_of(session).said
    screen_of(session).there = False
    assert len(said) == 1
    assert "did not grant api.read; it granted dummy" in said[0]
    for force in (False, True):
        assert session.acquire("api.read", force_refresh=force).scopes == ("dummy",)
    assert len(said) == 1
    with pytest.raises(ConsentRequired) as refused:
        session.acquire("api.write")
    assert_plain(refused.value)


def test_no_refresh_token(session: Session, mock: MockServer, forms: FormBrowser) -> None:
    """The token is used until it expires; then a sign-in is required."""
    mock.order(leave_out=["refresh_token", "scope"])
    session.login("api.read", web_ui=forms)
    screen_of(session).there = False
    assert session.acquire("api.read").source == "cache"
    with pytest.raises(InteractionRequired) as needed:
        session.acquire("api.read", force_refresh=True)
    assert_plain(needed.value)
    assert mock.foreign.refreshes() == []


def test_no_new_refresh_token_at_a_refresh(
    session: Session, mock: MockServer, forms: FormBrowser
) -> None:
    """The previous refresh token stays in use (RFC 6749 §6)."""
    session.login("api.read", web_ui=forms)
    mock.order(leave_out=["refresh_token", "scope", "id_token"])
    for _ in range(2):
        assert session.acquire("api.read", force_refresh=True).source == "refresh"
    assert len({one.form["refresh_token"] for one in mock.foreign.refreshes()}) == 1


def test_no_id_token(session: Session, mock: MockServer, forms: FormBrowser) -> None:
    """Although ``openid`` was requested; the account is taken from userinfo."""
    mock.order(leave_out=["id_token", "scope"])
    account = session.login("api.read", web_ui=forms)
    assert account.home_account_id == "johndoe"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://id.example"}, "id_token_issuer"),
        ({"aud": "another"}, "id_token_audience"),
        ({"aud": ["notebooks", "another"], "azp": "another"}, "id_token_audience"),
        ({"exp": 1}, "id_token_expired"),
        ({"nonce": "another"}, "id_token_nonce"),
        ({"sub": ""}, "id_token_subject"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else None,
)
def test_an_invalid_id_token(
    session: Session, mock: MockServer, forms: FormBrowser, claims: dict[str, Any], code: str
) -> None:
    mock.order(claims=claims)
    with pytest.raises(SignInError) as refused:
        session.login("api.read", web_ui=forms)
    assert refused.value.code == code
    assert_plain(refused.value)
    assert session.accounts() == []


@pytest.mark.parametrize(
    ("redirect", "error", "code"),
    [
        ({"iss": "https://id.example"}, SignInError, "issuer_mismatch"),
        ({"code": None, "error": "access_denied"}, SignInDeclined, "access_denied"),
        ({"code": None, "error": "login_required"}, InteractionRequired, "login_required"),
        (
            {"code": None, "error": "server_error", "error_description": "so"},
            NbAuthError,
            "server_error",
        ),
    ],
    ids=["another_iss", "declined", "login_required", "server_error"],
)
def test_a_response_that_fails_the_sign_in(
    session: Session,
    mock: MockServer,
    forms: FormBrowser,
    redirect: dict[str, Any],
    error: type[NbAuthError],
    code: str,
) -> None:
    mock.order(redirect=redirect)
    with pytest.raises(error) as refused:
        session.login("api.read", web_ui=forms)
    assert refused.value.code == code
    assert_plain(refused.value)
    assert mock.foreign.token_requests("authorization_code") == []


def test_a_development_server_without_tls(
    session: Session, mock: MockServer, forms: FormBrowser
) -> None:
    """Http is allowed on loopback."""
    mock.order(issuer=mock.plain_http, leave_out=["scope"])
    session.configure(authority=mock.plain_http)
    account = session.login("api.read", web_ui=forms)
    assert account.home_account_id == "johndoe"
    result = session.acquire("api.read", force_refresh=True)
    assert result.id_token_claims["iss"] == mock.plain_http


def test_two_people_are_two_accounts(
    session: Session, mock: MockServer, forms: FormBrowser
) -> None:
    for name in ("ada", "grace"):
        mock.order(claims={"sub": name}, leave_out=["scope"])
        session.login("api.read", web_ui=forms, force=True)
    assert {account.home_account_id for account in session.accounts()} == {"ada", "grace"}
