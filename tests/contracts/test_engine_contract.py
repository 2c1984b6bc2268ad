"""The contract tests of `nbauth.oauth.engines.Engine`, run for every engine at a real provider."""

from __future__ import annotations

import base64
import dataclasses
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    SignInDeclined,
    SignInError,
    SignInExpired,
)
from nbauth.core.scopes import Scopes
from nbauth.core.steps import Receiving
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority, parse
from nbauth.oauth.engines import engine_for
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.engines.openid import OpenIDEngine
from nbauth.oauth.engines.protocol import (
    AuthorizationPending,
    AuthorizationRequest,
    DeviceCode,
    Engine,
    PendingAuthorization,
)
from nbauth.oauth.http import Http
from tests.harness.panva import Panva
from tests.interop.peers import assert_plain
from tests.interop.scripted_browser import ScriptedBrowser

REDIRECT = "http://localhost:9/callback"
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
GRAPH = "https://graph.microsoft.com/"


@dataclass
class Case:
    """One engine at one issuer."""

    make: Callable[..., Engine]
    engine: Engine
    issuer: str
    first: Scopes
    wider: Scopes
    also: str
    username: str
    client_info: dict[str, str]
    can_revoke: bool
    panva: Panva
    browser: ScriptedBrowser

    @property
    def msal(self) -> bool:
        return isinstance(self.engine, MicrosoftEngine)

    def ask(self, **options: Any) -> AuthorizationRequest:
        return AuthorizationRequest(self.first, **options)

    def authorize(self, *, forms: bool = True, **options: Any) -> PendingAuthorization:
        receiving = Receiving(REDIRECT, "the-state-of-this-sign-in", forms=forms)
        return self.engine.authorize(self.ask(**options), receiving)

    def sign_in(self, **options: Any) -> TokenResponse:
        """By device code."""
        device = self.engine.start_device(self.ask(**options))
        self.browser.approve(device.verification_uri, device.user_code)
        return self.engine.poll_device(device)

    def requests(self, endpoint: str) -> list[dict[str, Any]]:
        return self.panva.requests(endpoint)


AUTHLIB_ALONE = pytest.mark.parametrize("case", ["authlib", "authlib-at-microsoft"], indirect=True)


@pytest.fixture(params=["msal", "authlib", "authlib-at-microsoft"])
def case(request: pytest.FixtureRequest, panva: Panva) -> Case:
    browser = ScriptedBrowser(panva.ca_file)
    at_microsoft = request.param != "authlib"
    authority = {
        "msal": parse(panva.ms_authority),
        "authlib": parse(panva.issuer),
        # Its address looks like Microsoft's, so a session would use MSAL for it.
        "authlib-at-microsoft": Authority("oidc", panva.ms_issuer),
    }[request.param]

    def make(client_id: str = panva.client_id, authority: Authority = authority) -> Engine:
        return engine_for(authority, client_id, verify=panva.ca_file)

    if request.param == "msal":
        first = Scopes.parse(["User.Read"], microsoft=True)
        wider = Scopes.parse(["Mail.Read"], microsoft=True)
    else:
        at_b = (GRAPH + "User.Read", GRAPH + "Mail.Read")
        scope, other = at_b if at_microsoft else ("read", "write")
        always = ["openid", "profile", "email", "offline_access"]
        first = Scopes.parse([*always, scope], microsoft=False)
        wider = Scopes.parse([*always, scope, other], microsoft=False)
    info = dict(zip(("uid", "utid"), panva.home_account_id().split("."), strict=True))
    return Case(
        make,
        make(),
        panva.ms_issuer if at_microsoft else panva.issuer,
        first,
        wider,
        GRAPH + "Files.Read" if at_microsoft else "write",
        "ada@example.org" if at_microsoft else "ada",
        info if request.param == "msal" else {},
        request.param != "msal",
        panva,
        browser,
    )


def query_of(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), "a parameter twice"
    return dict(pairs)


def secrets_of(response: TokenResponse) -> list[str]:
    tokens = (response.access_token, response.refresh_token, response.id_token)
    return [str(token) for token in tokens if token]


# --------------------------------------------------------------------------- engine_for


def test_each_authority_has_an_engine(case: Case, panva: Panva) -> None:
    assert type(case.engine) is (MicrosoftEngine if case.msal else OpenIDEngine)
    assert case.engine.client_id == panva.client_id
    assert panva.requests() == []  # creating it sends nothing
    assert case.engine.issuer == case.issuer
    assert case.engine.issuer == case.issuer
    assert len(case.requests("discovery")) == 1


# --------------------------------------------------------------------------- authorize


def test_authorize_requests_a_query_if_the_receiver_accepts_no_forms(case: Case) -> None:
    sent = query_of(case.authorize(forms=False).authorize_url)
    assert sent.get("response_mode") == ("query" if case.msal else None)


def test_authorize_is_bound_to_this_sign_in(case: Case) -> None:
    one, other = case.authorize(), case.authorize()
    sent, sent_by_other = query_of(one.authorize_url), query_of(other.authorize_url)
    assert sent["response_type"] == "code"
    assert sent["client_id"] == case.engine.client_id
    assert sent["redirect_uri"] == REDIRECT
    assert sent["state"] == one.state == "the-state-of-this-sign-in"
    assert sent["code_challenge_method"] == "S256"
    assert len(base64.urlsafe_b64decode(sent["code_challenge"] + "=")) == 256 // 8
    assert len(sent["nonce"]) >= 32
    assert {"openid", "offline_access", *case.first.resource_scopes} <= {*sent["scope"].split()}
    for name in ("code_challenge", "nonce"):
        assert sent[name] != sent_by_other[name]
    assert (one.issuer, one.requires_iss) == (case.issuer, True)
    assert sent.get("response_mode") == ("form_post" if case.msal else None)
    for name in ("login_hint", "domain_hint", "max_age", "claims"):
        assert name not in sent
    # None by default, except where offline_access gives no refresh token without it.
    assert sent.get("prompt") == (None if case.msal else "consent")
    assert len(case.requests("jwks")) == 1
    for word in (sent["state"], sent["nonce"], sent["code_challenge"]):
        assert word not in repr(one)


@AUTHLIB_ALONE  # MSAL always requests offline_access
def test_offered_openid_scopes_are_added(case: Case) -> None:
    """Both offer ``openid`` and ``offline_access``; ``offline_access`` requires consent."""
    scopes = Scopes.parse(["some", "profile"], microsoft=False)
    pending = case.engine.authorize(AuthorizationRequest(scopes), Receiving(REDIRECT, "x" * 32))
    asked = query_of(pending.authorize_url)
    assert asked["scope"].split()[:2] == ["some", "profile"]
    assert {"openid", "offline_access"} <= set(asked["scope"].split())
    assert asked["prompt"] == "consent"


@AUTHLIB_ALONE  # MSAL always requests offline_access
def test_exact_scopes_are_sent_unchanged(case: Case) -> None:
    scopes = Scopes.parse(["openid", "profile"], microsoft=False)
    exact = AuthorizationRequest(scopes, exact_scopes=True)
    pending = case.engine.authorize(exact, Receiving(REDIRECT, "x" * 32))
    asked = query_of(pending.authorize_url)
    assert asked["scope"] == "openid profile"
    assert "prompt" not in asked, "no refresh token is requested"
    case.engine.start_device(exact)
    (request,) = case.requests("device_authorization")
    assert request["params"]["scope"] == "openid profile"


def test_the_prompt_can_be_omitted(case: Case) -> None:
    assert "prompt" not in query_of(case.authorize(prompt="unset").authorize_url)


def test_extra_parameters_are_in_every_request_of_a_flow(case: Case) -> None:
    extra = {"ui_locales": "de", "grant_type": "none", "timeout": "0", "url": "x"}
    case.sign_in(extra_parameters=extra)
    for endpoint in ("device_authorization", "token"):
        sent = case.requests(endpoint)[-1]["params"]
        assert sent["ui_locales"] == "de", endpoint
        assert case.requests(endpoint)[-1]["grant_type"] != "none", endpoint
    asked = query_of(case.authorize(extra_parameters=extra).authorize_url)
    assert asked["ui_locales"] == "de"


@pytest.mark.parametrize("prompt", ["login", "consent", "select_account", "create", "none"])
def test_the_prompt_is_sent_unchanged(case: Case, prompt: str) -> None:
    assert query_of(case.authorize(prompt=prompt).authorize_url)["prompt"] == prompt


def test_options_are_sent_unchanged_and_the_code_is_redeemed(case: Case) -> None:
    given = {"prompt": "login", "login_hint": "ada@example.org", "domain_hint": "example.org"}
    pending = case.authorize(
        **given, max_age=60, claims=CLAIMS, extra_parameters={"ui_locales": "de fr"}
    )
    answer = query_of(case.browser(pending.authorize_url))
    (asked,) = case.requests("authorization")
    params = asked["params"]
    assert {name: params[name] for name in given} == given
    assert params["max_age"] == "60"
    assert params["ui_locales"] == "de fr"
    assert json.loads(params["claims"])["access_token"] == json.loads(CLAIMS)["access_token"]
    assert answer["iss"] == case.issuer
    response = case.engine.redeem(pending, answer)
    assert response.id_token_claims["auth_time"] >= time.time() - 60
    (redeemed,) = case.requests("token")
    assert "code_verifier" in redeemed["fields"]


def test_acr_values_are_sent_where_a_provider_knows_them(case: Case) -> None:
    asked = query_of(case.authorize(acr_values="gold silver").authorize_url)
    device = case.engine.start_device(case.ask(acr_values="gold silver", max_age=0))
    assert device.user_code
    (begun,) = case.requests("device_authorization")
    if case.msal:
        assert "acr_values" not in asked
    else:
        assert asked["acr_values"] == begun["params"]["acr_values"] == "gold silver"
        assert begun["params"]["max_age"] == "0"


@pytest.mark.parametrize("case", ["msal"], indirect=True)
def test_a_capability_is_declared_in_every_request_of_its_token(case: Case) -> None:
    """Only at Entra; the other engine is never asked for one."""
    declared = {"access_token": {"xms_cc": {"values": ["CP1"]}}}
    both = {"access_token": {**json.loads(CLAIMS)["access_token"], **declared["access_token"]}}
    scopes = case.first.declaring()
    case = dataclasses.replace(case, first=scopes)
    pending = case.authorize(claims=CLAIMS)
    assert json.loads(query_of(pending.authorize_url)["claims"]) == both
    response = case.engine.redeem(pending, query_of(case.browser(pending.authorize_url)))
    assert json.loads(case.requests("token")[-1]["params"]["claims"]) == both
    assert response.refresh_token
    case.engine.refresh(response.refresh_token, scopes)
    assert json.loads(case.requests("token")[-1]["params"]["claims"]) == declared
    case.engine.start_device(case.ask())
    sent = case.requests("device_authorization")[-1]["params"]
    assert json.loads(sent["claims"]) == declared


def test_extra_parameters_may_override_some_parameters(case: Case) -> None:
    """They may set response_mode or prompt, but not the parameters that bind the response."""
    pending = case.authorize(
        extra_parameters={
            "response_mode": "query",
            "prompt": "login consent",
            "state": "theirs",
            "nonce": "theirs",
            "code_challenge": "theirs",
            "redirect_uri": "http://localhost:1/theirs",
            "client_id": "theirs",
        }
    )
    sent = query_of(pending.authorize_url)
    assert (sent["response_mode"], sent["prompt"]) == ("query", "login consent")
    assert "theirs" not in pending.authorize_url
    answer = query_of(case.browser(pending.authorize_url))
    assert case.engine.redeem(pending, answer).access_token


def test_consent_also_is_sent_to_the_authorization_endpoint_only(case: Case) -> None:
    pending = case.authorize(consent_also=(case.also,))
    assert case.also in query_of(pending.authorize_url)["scope"].split()
    case.engine.redeem(pending, query_of(case.browser(pending.authorize_url)))
    (redeemed,) = case.requests("token")
    assert case.also not in (redeemed["scope"] or "").split()
    if case.msal:
        assert {*case.first.resource_scopes} <= {*redeemed["scope"].split()}
    case.engine.start_device(case.ask(consent_also=(case.also,)))
    (device,) = case.requests("device_authorization")
    assert case.also not in device["scope"].split()


# --------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("way", ["code", "device"])
def test_values_of_a_token_response(case: Case, way: str) -> None:
    case.panva.control(access_ttl=1234)
    before = time.time()
    if way == "code":
        pending = case.authorize()
        answer = query_of(case.browser(pending.authorize_url))
        response = case.engine.redeem(pending, answer)
    else:
        response = case.sign_in()
    assert response.expires_in == 1234
    assert before <= response.received_at <= time.time()
    assert response.token_type == "Bearer"
    assert {*case.first.resource_scopes} <= {*response.scopes}
    assert case.also not in response.scopes
    assert response.refresh_token
    claims = response.id_token_claims
    assert (claims["iss"], claims["aud"]) == (case.issuer, case.engine.client_id)
    assert (claims["preferred_username"], claims["name"]) == (case.username, "Ada Lovelace")
    assert claims["exp"] > time.time()
    assert response.client_info == case.client_info
    with pytest.raises(TypeError):
        response.__reduce_ex__(4)
    for secret in secrets_of(response):
        assert secret not in repr(response)
        assert secret[:20] not in repr(response)
    assert "Ada" not in repr(response)


def test_a_device_code_is_polled_until_approved(case: Case) -> None:
    case.panva.control(device_ttl=321, device_interval=7)
    device = case.engine.start_device(case.ask(claims=CLAIMS))
    assert isinstance(device, DeviceCode)
    assert (device.expires_in, device.interval) == (321, 7)
    assert device.verification_uri.startswith("https://")
    assert (device.verification_uri_complete or "").startswith(device.verification_uri)
    for _ in range(2):
        with pytest.raises(AuthorizationPending) as pending:
            case.engine.poll_device(device)
        assert not pending.value.slow_down
    case.panva.fault("token", "slow_down")
    with pytest.raises(AuthorizationPending) as pending:
        case.engine.poll_device(device)
    assert pending.value.slow_down
    case.browser.approve(device.verification_uri, device.user_code)
    response = case.engine.poll_device(device)
    assert response.id_token_claims["preferred_username"] == case.username
    asked = case.requests("device_authorization") + case.requests("token")
    if case.msal:
        assert "claims" in asked[-1]["fields"]
    else:
        assert asked[0]["params"]["claims"] == CLAIMS
    private = repr(device.private[0])
    assert private not in repr(device)
    assert "device_code" not in repr(device)


def test_refreshing_rotates(case: Case) -> None:
    first = case.sign_in()
    assert first.refresh_token
    second = case.engine.refresh(first.refresh_token, case.first)
    assert second.refresh_token
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    assert second.id_token_claims["sub"] == first.id_token_claims["sub"]
    assert {*case.first.resource_scopes} <= {*second.scopes}
    third = case.engine.refresh(second.refresh_token, case.first, CLAIMS)
    last = case.requests("token")[-1]
    assert json.loads(last["params"]["claims"]) == json.loads(CLAIMS)
    if case.msal:
        assert {*case.first.resource_scopes} <= {*last["scope"].split()}
    else:
        assert last["scope"] is None, "for all granted scopes (RFC 6749 §6)"
    assert third.access_token
    with pytest.raises(InteractionRequired) as dead:
        case.engine.refresh(first.refresh_token, case.first)
    assert dead.value.code == "invalid_grant"
    assert_plain(dead.value)
    for response in (second, third):
        assert not any(secret in repr(response) for secret in secrets_of(response))


def test_a_revoked_refresh_token_requires_interaction(case: Case) -> None:
    response = case.sign_in()
    assert response.refresh_token
    assert case.panva.revoke() >= 1
    with pytest.raises(InteractionRequired) as dead:
        case.engine.refresh(response.refresh_token, case.first)
    assert not isinstance(dead.value, ConsentRequired)
    assert str(response.refresh_token) not in repr(dead.value) + " ".join(dead.value.lines())


@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_refresh_without_an_error_code(case: Case, status: int) -> None:
    response = case.sign_in()
    assert response.refresh_token
    case.panva.fault("token", "json", status=status, body="")
    with pytest.raises(InteractionRequired) as dead:
        case.engine.refresh(response.refresh_token, case.first)
    assert_plain(dead.value)


@pytest.mark.parametrize("status", [400, 401])
def test_a_captive_portals_page_does_not_end_the_grant(case: Case, status: int) -> None:
    response = case.sign_in()
    assert response.refresh_token
    case.panva.fault("token", str(status))
    with pytest.raises(AuthorityUnreachable) as portal:
        case.engine.refresh(response.refresh_token, case.first)
    assert (portal.value.code, portal.value.empty) == (f"http_{status}", False)
    assert_plain(portal.value)
    assert case.engine.refresh(response.refresh_token, case.first).access_token


def test_a_refresh_for_more_scopes_than_granted(case: Case) -> None:
    response = case.sign_in()
    assert response.refresh_token
    if not case.msal:
        again = case.engine.refresh(response.refresh_token, case.wider, granted=response.scopes)
        assert set(again.scopes) == set(response.scopes), "exactly the granted scopes"
        return
    with pytest.raises(NbAuthError) as refused:
        case.engine.refresh(response.refresh_token, case.wider)
    assert refused.value.code == "invalid_scope"
    # The grant is still valid.
    assert case.engine.refresh(response.refresh_token, case.first).access_token


def test_revoking(case: Case) -> None:
    response = case.sign_in()
    assert response.refresh_token
    assert case.engine.revoke(response.refresh_token) is case.can_revoke
    assert len(case.requests("revocation")) == case.can_revoke
    if case.can_revoke:
        with pytest.raises(InteractionRequired):
            case.engine.refresh(response.refresh_token, case.first)
    else:
        assert case.engine.refresh(response.refresh_token, case.first).access_token


@AUTHLIB_ALONE  # MSAL does not revoke
def test_a_refused_revocation_is_an_error(case: Case) -> None:
    response = case.sign_in()
    assert response.refresh_token
    case.panva.fault("revocation", "json", status=400, body={"error": "invalid_client"})
    with pytest.raises(ConfigurationError) as refused:
        case.engine.revoke(response.refresh_token)
    assert refused.value.code == "invalid_client"
    case.panva.fault("revocation", "503")
    with pytest.raises(AuthorityUnreachable):
        case.engine.revoke(response.refresh_token)
    assert case.engine.refresh(response.refresh_token, case.first).access_token


# --------------------------------------------------------------------------- refusals


def test_an_unknown_client(case: Case) -> None:
    engine = case.make("nobody-registered-this")
    with pytest.raises(ConfigurationError) as unknown:
        engine.start_device(case.ask())
    assert unknown.value.code == "invalid_client"
    assert "client_id" in unknown.value.hint
    with pytest.raises(ConfigurationError):
        engine.refresh("no-such-token", case.first)


def test_an_unknown_scope_is_not_reported_as_granted(case: Case) -> None:
    scope = GRAPH + "Nobody.KnowsThis" if case.msal else "nobody-knows-this"
    scopes = Scopes.parse([scope, "openid"], microsoft=case.msal)
    # This provider ignores unknown scopes; the response lists the granted ones.
    device = case.engine.start_device(AuthorizationRequest(scopes))
    case.browser.approve(device.verification_uri, device.user_code)
    response = case.engine.poll_device(device)
    assert scope not in response.scopes
    assert response.scopes


@pytest.mark.parametrize("way", ["code", "device"])
def test_declining(case: Case, way: str) -> None:
    if way == "code":
        pending = case.authorize()
        answer = query_of(case.browser.decline(pending.authorize_url))
        with pytest.raises(SignInDeclined) as declined:
            case.engine.redeem(pending, answer)
    else:
        device = case.engine.start_device(case.ask())
        case.browser.refuse(device.verification_uri, device.user_code)
        with pytest.raises(SignInDeclined) as declined:
            case.engine.poll_device(device)
    assert declined.value.code == "access_denied"
    assert_plain(declined.value)


def test_an_expired_code(case: Case) -> None:
    case.panva.control(device_ttl=1)
    device = case.engine.start_device(case.ask())
    time.sleep(2.1)
    with pytest.raises(SignInExpired) as expired:
        case.engine.poll_device(device)
    assert_plain(expired.value)


def test_a_code_works_once_and_for_its_sign_in_only(case: Case) -> None:
    one, other = case.authorize(), case.authorize()
    answer = query_of(case.browser(one.authorize_url))
    with pytest.raises(NbAuthError) as crossed:
        case.engine.redeem(other, answer)  # another verifier
    assert crossed.value.code == "invalid_grant"
    again = query_of(case.browser(one.authorize_url))
    assert case.engine.redeem(one, again).access_token
    with pytest.raises(NbAuthError) as replayed:
        case.engine.redeem(one, again)
    assert replayed.value.code == "invalid_grant"


# --------------------------------------------------------------------------- no response


@pytest.mark.parametrize("kind", ["503", "429", "drop", "html"])
def test_an_invalid_response_can_be_retried(case: Case, kind: str) -> None:
    engine = case.engine
    case.panva.fault("discovery", kind)
    if kind == "html" and not case.msal:
        assert engine.issuer == case.issuer, "its metadata is also at another address (RFC 8414 §3)"
    else:
        with pytest.raises(AuthorityUnreachable) as down:
            _ = engine.issuer
        assert_plain(down.value)
    case.panva.fault("jwks", kind)
    with pytest.raises(AuthorityUnreachable):
        case.authorize()
    case.panva.fault("device_authorization", kind)
    with pytest.raises(AuthorityUnreachable):
        engine.start_device(case.ask())
    device = engine.start_device(case.ask())
    case.panva.fault("token", kind)
    with pytest.raises(AuthorityUnreachable):
        engine.poll_device(device)
    case.browser.approve(device.verification_uri, device.user_code)
    response = engine.poll_device(device)  # no response comes from a cache
    assert response.refresh_token
    case.panva.fault("token", kind)
    with pytest.raises(AuthorityUnreachable):
        engine.refresh(response.refresh_token, case.first)
    assert engine.refresh(response.refresh_token, case.first).access_token


NONSENSE = [
    {},
    {"access_token": 5},
    {"access_token": ""},
    {"access_token": None, "token_type": "Bearer"},
    {"access_token": "x", "id_token": 5},
    {"access_token": "x", "id_token": "a.b.c"},
    {"access_token": "x", "id_token": "é"},
    {"access_token": "x", "scope": 5, "id_token": ["x"]},
    {"error": {"code": 5}},
    {"error": ["access_denied"], "error_description": {"a": 1}},
    {"error": "odd", "error_codes": 7},
    {"error": None},
    [],
    [1],
    "a text",
    7,
    None,
]


@pytest.mark.parametrize("life", ["soon", "3600s", None, "", {"in": 5}, [60]])
def test_an_invalid_lifetime_becomes_an_hour(case: Case, life: Any) -> None:
    _ = case.engine.issuer
    answer = {"access_token": "x", "refresh_token": "y", "expires_in": life}
    case.panva.fault("token", "json", status=200, body=answer)
    response = case.engine.refresh("some-token", case.first)
    assert response.expires_in == 3600
    assert response.refresh_token == "y"


@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_an_invalid_response_is_an_nbauth_error(case: Case, answer: Any) -> None:
    engine = case.engine
    _ = engine.issuer
    for status in (200, 400):
        if status == 400 and isinstance(answer, dict) and "access_token" in answer:
            continue
        case.panva.fault("device_authorization", "json", status=status, body=answer)
        with pytest.raises(NbAuthError) as nonsense:
            engine.start_device(case.ask())
        assert_plain(nonsense.value)
        case.panva.fault("token", "json", status=status, body=answer)
        with pytest.raises(NbAuthError) as nonsense:
            engine.refresh("some-token", case.first)
        assert_plain(nonsense.value)


@pytest.mark.parametrize(
    "document", [{}, {"issuer": 5}, [], "text", None, {"error": "odd", "error_description": "no"}]
)
def test_invalid_metadata(case: Case, document: Any) -> None:
    case.panva.fault("discovery", "json", status=200, body=document)
    if case.msal:
        with pytest.raises(NbAuthError) as nonsense:
            case.engine.start_device(case.ask())
        assert_plain(nonsense.value)
    else:  # its metadata is also at another address (RFC 8414 §3)
        assert case.engine.start_device(case.ask()).user_code
    assert case.engine.issuer == case.issuer  # requested again


@AUTHLIB_ALONE  # Microsoft's issuers differ from their authorities
def test_metadata_of_another_issuer(case: Case) -> None:
    """The endpoints in the metadata of another issuer are not used."""
    wrong = {
        "issuer": "https://issuer.invalid",
        **{
            f"{name}_endpoint": f"https://issuer.invalid/{name}"
            for name in ("authorization", "token", "device_authorization")
        },
        "jwks_uri": "https://issuer.invalid/jwks",
    }
    case.panva.fault("discovery", "json", status=200, body=wrong)
    device = case.engine.start_device(
        case.ask()
    )  # by the metadata at the other address (RFC 8414 §3)
    assert "issuer.invalid" not in device.verification_uri
    assert case.engine.issuer == case.issuer


# --------------------------------------------------------------------------- abort


@contextmanager
def deaf_server() -> Iterator[int]:
    """Accepts connections and sends nothing, not even a TLS handshake."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def assert_abort_ends(
    engine: Engine, call: Callable[[], object], arrived: Callable[[], Any]
) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    end = time.monotonic() + 5
    while not arrived() and time.monotonic() < end:
        time.sleep(0.02)
    assert thread.is_alive()
    began = time.monotonic()
    engine.abort()
    thread.join(3)
    assert time.monotonic() - began < 1, "still asking"
    assert [type(error) for error in errors] == [AuthorityUnreachable]


@pytest.mark.timing
def test_abort_ends_a_hanging_request_and_the_engine_still_works(case: Case) -> None:
    device = case.engine.start_device(case.ask())
    case.panva.fault("token", "hang")
    assert_abort_ends(
        case.engine, lambda: case.engine.poll_device(device), lambda: case.requests("token")
    )
    with pytest.raises(AuthorizationPending):
        case.engine.poll_device(device)


@pytest.mark.timing
def test_abort_ends_a_connection_attempt(case: Case) -> None:
    """In the TLS handshake, as behind a firewall that drops packets."""
    with deaf_server() as port:
        url = urlsplit(case.engine.authority.url)
        authority = dataclasses.replace(
            case.engine.authority, url=f"https://127.0.0.1:{port}{url.path}"
        )
        engine = case.make(authority=authority)
        assert_abort_ends(engine, lambda: engine.issuer, lambda: time.sleep(0.3) or True)


def test_an_idle_connection_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may close an idle connection at the moment it is reused."""

    class OneAnswerEach(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        answered = 0

        def do_GET(self) -> None:
            self.answered += 1
            if self.answered > 1:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr("nbauth.oauth.sockets.IDLE", 0.2)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OneAnswerEach) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        door, url = Http(), f"http://127.0.0.1:{server.server_port}/"
        for _ in range(3):
            assert door.get(url).json() == {}
            time.sleep(0.25)
        assert door.get(url).ok
        with pytest.raises(AuthorityUnreachable):
            door.get(url)  # at once: the same connection
        door.close()
        server.shutdown()


# --------------------------------------------------------------------------- bad identity


@pytest.mark.parametrize("what", ["iss", "aud", "exp", "alg_none"])
def test_a_bad_id_token_from_the_token_endpoint(case: Case, what: str) -> None:
    device = case.engine.start_device(case.ask())
    case.browser.approve(device.verification_uri, device.user_code)
    case.panva.tamper(what)
    with pytest.raises(SignInError) as refused:
        case.engine.poll_device(device)
    words = {"iss": "issuer", "aud": "audience", "exp": "expired", "alg_none": "algorithm"}
    assert refused.value.code == f"id_token_{words[what]}"
    assert_plain(refused.value)


@pytest.mark.parametrize("what", ["iss", "aud", "nonce", "exp", "signature", "alg_none"])
def test_a_bad_id_token_after_the_browser(case: Case, what: str) -> None:
    pending = case.authorize()
    answer = query_of(case.browser(pending.authorize_url))
    case.panva.tamper(what)
    with pytest.raises(SignInError) as refused:
        case.engine.redeem(pending, answer)
    assert refused.value.code.startswith("id_token_")
    assert_plain(refused.value)


def test_a_sign_in_without_auth_time_is_rejected_for_max_age(case: Case) -> None:
    pending = case.authorize(max_age=0)
    # As with a provider that ignores max_age: this one then omits auth_time.
    url = pending.authorize_url.replace("max_age=0", "ui_locales=de")
    with pytest.raises(SignInError) as refused:
        case.engine.redeem(pending, query_of(case.browser(url)))
    assert refused.value.code == "id_token_auth_time"
