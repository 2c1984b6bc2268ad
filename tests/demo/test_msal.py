"""Unmodified MSAL at the local provider."""

from __future__ import annotations

import threading
from html import unescape
from re import findall
from typing import Any

import msal
import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from nbauth.demo.servers import Demo
from nbauth.demo.tour import approve

from .steps import answer_of, press, public_client, sign_in

SCOPES = ["User.Read"]
FULL = "https://graph.microsoft.com/User.Read"


def test_device_code(demo: Demo, http: requests.Session) -> None:
    app = public_client(demo)
    flow = app.initiate_device_flow(SCOPES)
    assert len(flow["user_code"]) == 9 and flow["interval"] == 1
    assert flow["user_code"] in flow["message"]
    once = app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    assert once["error"] == "authorization_pending" and once["error_codes"] == [70016]
    (device,) = demo.provider.store.pending_devices()
    device.polled_at = 0  # the poll above does not count for the next loop
    approver = threading.Timer(0.2, approve, (demo, device))
    approver.start()
    result = app.acquire_token_by_device_flow(flow)
    approver.join()
    assert FULL in result["scope"].split() and "openid" in result["scope"].split()
    me = http.get(
        f"{demo.graph_url}/me", headers={"Authorization": f"Bearer {result['access_token']}"}
    ).json()
    assert me["userPrincipalName"] == demo.user
    (account,) = app.get_accounts()
    assert account["username"] == demo.user
    assert account["home_account_id"] == f"{me['id']}.{demo.provider.tenant_id}"


@pytest.mark.parametrize("response_mode", ["query", "form_post"])
def test_authorization_code(
    demo: Demo, http: requests.Session, browser: requests.Session, response_mode: str
) -> None:
    app = public_client(demo)
    flow = app.initiate_auth_code_flow(
        SCOPES,
        redirect_uri="http://127.0.0.1:5555/callback",
        response_mode=response_mode,
        login_hint=demo.user,
        max_age=300,
    )
    page = browser.get(flow["auth_uri"])
    assert f'value="{demo.user}"' in page.text
    last = press(demo, browser, sign_in(demo, browser, page), "accept")
    if response_mode == "query":
        answer = answer_of(last)
    else:
        assert 'action="http://127.0.0.1:5555/callback"' in last.text
        answer = {
            unescape(name): unescape(value)
            for name, value in findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', last.text)
        }
    assert answer["iss"] == demo.issuer
    result = app.acquire_token_by_auth_code_flow(flow, answer)
    claims = result["id_token_claims"]
    assert claims["iss"] == demo.issuer and claims["aud"] == demo.client_id
    assert claims["tid"] == demo.provider.tenant_id and claims["ver"] == "2.0"
    assert claims["preferred_username"] == demo.user and claims["name"] == "Ada Demo"
    keys = KeySet.import_key_set(http.get(f"{demo.authority}/discovery/v2.0/keys").json())
    checked = jwt.decode(result["id_token"], keys, algorithms=["RS256"])
    assert checked.claims["oid"] == claims["oid"] and checked.header["kid"]


def test_a_code_works_once_and_reuse_revokes_its_tokens(
    demo: Demo, browser: requests.Session
) -> None:
    app = public_client(demo)
    flow = app.initiate_auth_code_flow(
        SCOPES, redirect_uri="http://localhost", response_mode="query"
    )
    page = sign_in(demo, browser, browser.get(flow["auth_uri"]))
    answer = answer_of(press(demo, browser, page, "accept"))
    first = app.acquire_token_by_auth_code_flow(flow, answer)
    assert demo.provider.store.find_access_token(first["access_token"])
    again = public_client(demo).acquire_token_by_auth_code_flow(flow, answer)
    assert again["error"] == "invalid_grant" and again["error_codes"] == [54005]
    assert not demo.provider.store.find_access_token(first["access_token"])


def _signed_in(demo: Demo, **options: Any) -> msal.PublicClientApplication:
    app = public_client(demo, **options)
    flow = app.initiate_device_flow(SCOPES)
    approve(demo, demo.provider.store.pending_devices()[0])
    assert "access_token" in app.acquire_token_by_device_flow(flow)
    return app


def test_refresh_rotates_and_reuse_revokes_all_tokens_of_the_sign_in(demo: Demo) -> None:
    app = _signed_in(demo)
    (account,) = app.get_accounts()
    stolen = app.token_cache.find(msal.TokenCache.CredentialType.REFRESH_TOKEN)[0]["secret"]
    fresh = app.acquire_token_silent_with_error(SCOPES, account, force_refresh=True)
    assert fresh["token_source"] == "identity_provider"
    kept = app.token_cache.find(msal.TokenCache.CredentialType.REFRESH_TOKEN)[0]["secret"]
    assert kept != stolen
    reuse = public_client(demo).acquire_token_by_refresh_token(stolen, SCOPES)
    assert reuse["error"] == "invalid_grant" and reuse["error_codes"] == [70043]
    dead = public_client(demo).acquire_token_by_refresh_token(kept, SCOPES)
    assert dead["error"] == "invalid_grant"
    assert not demo.provider.store.find_access_token(fresh["access_token"])


def test_a_refresh_for_default_rotates_too(demo: Demo) -> None:
    """Also if other scopes than those of the sign-in are granted."""
    app = _signed_in(demo)
    (account,) = app.get_accounts()
    scopes = ["https://graph.microsoft.com/.default"]
    for _ in range(2):
        fresh = app.acquire_token_silent_with_error(scopes, account, force_refresh=True)
        assert fresh["token_source"] == "identity_provider"


def test_common_authority_and_scope_without_consent(demo: Demo) -> None:
    app = _signed_in(demo, authority=f"{demo.provider.origin}/common")
    (account,) = app.get_accounts()
    refused = app.acquire_token_silent_with_error(["Mail.Read"], account)
    assert refused["error"] == "invalid_grant" and refused["suberror"] == "consent_required"
    # The refresh token is still valid after the refusal.
    again = app.acquire_token_silent_with_error(SCOPES, account, force_refresh=True)
    assert "access_token" in again


def test_unknown_client_and_tenant(demo: Demo) -> None:
    stranger = public_client(demo, client_id="11111111-2222-3333-4444-555555555555")
    refused = stranger.initiate_device_flow(SCOPES)
    assert refused["error"] == "unauthorized_client" and refused["error_codes"] == [700016]
    with pytest.raises(ValueError, match="tenant name"):
        public_client(demo, authority=f"{demo.provider.origin}/nobody").initiate_device_flow(SCOPES)


def test_declined_and_expired(demo: Demo, browser: requests.Session) -> None:
    app = public_client(demo)
    flow = app.initiate_device_flow(SCOPES)
    page = browser.post(
        demo.provider.verification_uri, data={"user_code": flow["user_code"].lower()}
    )
    assert "Cancelled" in press(demo, browser, page, "cancel").text
    assert app.acquire_token_by_device_flow(flow)["error"] == "authorization_declined"
    flow = app.initiate_device_flow(SCOPES)
    demo.provider.store.devices[flow["device_code"]].expires_at = 0
    result = app.acquire_token_by_device_flow(flow)
    assert result["error"] == "expired_token" and result["error_codes"] == [70020]
