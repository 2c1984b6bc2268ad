"""A user's token exchanged for a token for an API: Microsoft's on-behalf-of flow, and RFC 8693."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from nbauth.core.account import Account
from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.tokens import Principal
from nbauth.kernel.session import Session
from nbauth.oauth.authorities import parse
from nbauth.oauth.credentials import ClientSecret
from nbauth.oauth.engines import engine_for
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import OnBehalfOf
from nbauth.oauth.flows import on_behalf_of
from nbauth.oauth.identities import IdentityToken
from nbauth.testing.screen import RecordingScreen
from tests.harness.panva import Panva
from tests.interop.scripted_browser import ScriptedBrowser


@dataclass
class Case:
    """One issuer, with the user's token of another client."""

    panva: Panva
    authority: str
    api_url: str
    scope: str
    wire: str

    def engine(self, *, confidential: bool = True) -> Any:
        secret = ClientSecret(lambda: SecretStr(self.panva.client_secret))
        return engine_for(
            parse(self.authority),
            self.panva.confidential_client_id if confidential else self.panva.client_id,
            verify=self.panva.ca_file,
            credential=secret if confidential else None,
        )

    @property
    def request(self) -> AuthorizationRequest:
        microsoft = parse(self.authority).microsoft
        return AuthorizationRequest(Scopes.parse([self.scope], microsoft=microsoft))

    def users_token(self, user: str = "ada") -> SecretStr:
        engine = self.engine(confidential=False)
        device = engine.start_device(self.request)
        ScriptedBrowser(self.panva.ca_file, user).approve(device.verification_uri, device.user_code)
        response = engine.poll_device(device)
        engine.close()
        return response.access_token  # type: ignore[no-any-return]

    def accepted(self, token: str) -> bool:
        with requests.Session() as http:
            http.trust_env = False
            headers = {"Authorization": f"Bearer {token}"}
            answer = http.get(self.api_url, headers=headers, verify=self.panva.ca_file, timeout=10)
        return answer.ok


@pytest.fixture(params=["microsoft", "openid"])
def case(request: pytest.FixtureRequest, panva: Panva) -> Case:
    if request.param == "microsoft":
        graph = "https://graph.microsoft.com/User.Read"
        return Case(panva, panva.ms_authority, panva.ms_api_url, "User.Read", graph)
    return Case(panva, panva.issuer, panva.api_url, "read", "read")


def test_the_api_accepts_the_new_token(case: Case) -> None:
    users = case.users_token()
    engine = case.engine()
    response = engine.obtain(OnBehalfOf(users), case.request)
    engine.close()
    assert response.access_token != users
    assert case.wire in response.scopes
    assert case.accepted(response.access_token)
    sent = case.panva.requests("token")[-1]
    if parse(case.authority).microsoft:
        assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    else:
        assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"


def test_a_token_that_is_not_valid_is_refused(case: Case) -> None:
    engine = case.engine()
    with pytest.raises(NbAuthError) as caught:
        engine.obtain(OnBehalfOf(SecretStr("canary-of-the-user")), case.request)
    engine.close()
    assert "canary-of-the-user" not in " ".join(caught.value.lines())


def test_a_public_client_cannot(case: Case) -> None:
    engine = case.engine(confidential=False)
    with pytest.raises(NbAuthError) as caught:
        engine.obtain(OnBehalfOf(case.users_token()), case.request)
    engine.close()
    if parse(case.authority).microsoft:
        assert isinstance(caught.value, ConfigurationError)
        assert caught.value.code == "no_client_credential"


class Hub:
    """The hub's identity, with a token that its test sets."""

    name, detail = "hub", "of a test"
    issuers: tuple[str, ...] = ()

    def __init__(self, case: Case) -> None:
        self.case = case
        self.asked = 0
        self.user = "ada"

    def available(self) -> bool:
        return True

    def get(self, scopes: Any, tenant: str, claims: str | None) -> IdentityToken:
        self.asked += 1
        token = self.case.users_token(self.user)
        return IdentityToken(token, time.time() + 600, Principal(self.user, self.user))


@pytest.fixture
def session(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", case.panva.client_secret)
    environ = {
        "NBAUTH_AUTHORITY": case.authority,
        "NBAUTH_CLIENT_ID": case.panva.confidential_client_id,
        "NBAUTH_CLIENT_SECRET_FROM": "environment",
        "NBAUTH_VERIFY": case.panva.ca_file,
        "NBAUTH_FLOW": "obo",
        "NBAUTH_REFRESH_AHEAD": "false",
    }
    made = Session(SettingsReader(environ), RecordingScreen(attended=False))
    yield made
    made.rest()


def test_the_flow_asks_the_hub_anew_at_each_renewal(
    case: Case, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(case)
    monkeypatch.setattr(on_behalf_of, "HUB", hub)
    account = session.login(case.scope)
    assert isinstance(account, Account)
    assert (account.username, account.application) == ("ada", False)
    first = session.acquire(case.scope)
    assert (first.source, hub.asked) == ("cache", 1)
    again = session.acquire(case.scope, force_refresh=True)
    assert (again.source, hub.asked) == ("refresh", 2)
    assert case.accepted(again.access_token)
    hub.user = "bob"
    with pytest.raises(NbAuthError, match="bob is signed in there now"):
        session.acquire(case.scope, force_refresh=True)
    assert session.cache.signed_in[account.key].kept == "memory"
