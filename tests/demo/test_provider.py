"""The provider's own rules, tested without a client library."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
import requests

from nbauth.demo.endpoint import Provider
from nbauth.demo.servers import Demo, bind_loopback, start

from .steps import VERIFIER, answer_of, authorize, post_token, press, sign_in, tokens


def test_metadata(demo: Demo, http: requests.Session) -> None:
    for tenant in (demo.provider.tenant_id, "common", "organizations"):
        body = http.get(
            f"{demo.provider.origin}/{tenant}/v2.0/.well-known/openid-configuration"
        ).json()
        assert body["issuer"] == demo.issuer
    assert body["authorization_endpoint"].startswith("http://127.0.0.1:")
    assert body["token_endpoint"].startswith(f"{demo.authority}/")
    assert body["authorization_response_iss_parameter_supported"] is True


def test_unknown_tenant_echoes_the_correlation_id(demo: Demo, http: requests.Session) -> None:
    asked = "0c0ffee0-0000-4000-8000-000000000001"
    response = http.get(
        f"{demo.provider.origin}/contoso/v2.0/.well-known/openid-configuration",
        headers={"client-request-id": asked},
    )
    body = response.json()
    assert response.status_code == 400 and body["error_codes"] == [90002]
    assert body["correlation_id"] == asked and asked in body["error_description"]
    assert {"trace_id", "timestamp"} <= set(body)


def test_without_the_ca_file_its_certificate_is_refused(demo: Demo) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{demo.graph_url}/me", timeout=5)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"redirect_uri": "https://evil.example/"}, 50011),
        ({"redirect_uri": "http://localhost@evil.example/"}, 50011),
        ({"redirect_uri": "http://127.0.0.1:1/#x"}, 50011),
        ({"redirect_uri": "javascript:alert(1)"}, 50011),
        ({"client_id": "somebody-else"}, 700016),
    ],
)
def test_bad_address_or_client_is_a_page_never_a_redirect(
    demo: Demo, browser: requests.Session, changes: dict[str, str], number: int
) -> None:
    response = authorize(demo, browser, **changes)
    assert response.status_code == 400 and f"AADSTS{number}" in response.text
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "Bananas.Read"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "login_required"),
        ({"claims": "{"}, "invalid_request"),
    ],
)
def test_other_errors_are_redirected_to_the_client(
    demo: Demo, browser: requests.Session, changes: dict[str, str], error: str
) -> None:
    answer = answer_of(authorize(demo, browser, **changes))
    assert answer["error"] == error and answer["state"] == "s-1" and answer["iss"] == demo.issuer


def test_pages(demo: Demo, browser: requests.Session) -> None:
    page = authorize(demo, browser, login_hint='"><script>alert(1)</script>')
    assert "<script>alert" not in page.text and "&lt;script&gt;" in page.text
    assert "Local demo - nothing leaves this computer" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://localhost:49152;" in policy
    wrong = sign_in(demo, browser, page, password="guess")
    assert "AADSTS50126" in wrong.text and not browser.cookies
    consent = sign_in(demo, browser, wrong)
    assert "User.Read" in consent.text and "HttpOnly" in consent.headers["Set-Cookie"]
    assert answer_of(press(demo, browser, consent, "accept"))["code"]


def test_session_and_prompts(demo: Demo, browser: requests.Session) -> None:
    consent = sign_in(demo, browser, authorize(demo, browser))
    assert answer_of(authorize(demo, browser, prompt="none"))["error"] == "interaction_required"
    press(demo, browser, consent, "accept")
    assert "code" in answer_of(authorize(demo, browser, prompt="none"))
    assert "code" in answer_of(authorize(demo, browser))
    assert (
        answer_of(authorize(demo, browser, prompt="none", login_hint="grace.demo@demo.example"))[
            "error"
        ]
        == "login_required"
    )
    assert "Sign in" in authorize(demo, browser, prompt="login").text
    assert "Continue as" not in authorize(demo, browser, prompt="login").text
    assert "Permissions requested" in authorize(demo, browser, prompt="consent").text
    picker = authorize(demo, browser, prompt="select_account")
    assert f"Continue as {demo.user}" in picker.text
    assert "code" in answer_of(press(demo, browser, picker, "continue"))
    assert "Sign in" in authorize(demo, browser, max_age="0").text
    logout = f"{demo.provider.page_origin}/common/oauth2/v2.0/logout"
    assert "signed out" in browser.get(logout).text
    assert answer_of(authorize(demo, browser, prompt="none"))["error"] == "login_required"


def test_cancel_says_access_denied(demo: Demo, browser: requests.Session) -> None:
    answer = answer_of(press(demo, browser, authorize(demo, browser), "cancel"))
    assert answer["error"] == "access_denied" and "code" not in answer


def test_another_browser_cannot_accept(demo: Demo, browser: requests.Session) -> None:
    consent = sign_in(demo, browser, authorize(demo, browser))
    with requests.Session() as other:
        assert press(demo, other, consent, "accept").status_code == 400


def test_code_is_bound_to_verifier_and_redirect(
    demo: Demo, http: requests.Session, browser: requests.Session
) -> None:
    consent = sign_in(demo, browser, authorize(demo, browser, nonce="n-1"))
    code = answer_of(press(demo, browser, consent, "accept"))["code"]
    fields = {"grant_type": "authorization_code", "code": code}
    good = {"redirect_uri": "http://localhost:49152/any/path", "code_verifier": VERIFIER}
    for bad in ({"code_verifier": "w" * 50}, {"redirect_uri": "http://localhost:1/"}):
        body = post_token(demo, http, **fields, **{**good, **bad}).json()
        assert body["error"] == "invalid_grant"
    assert post_token(demo, http, **fields, **good).status_code == 200


def test_slow_down(demo: Demo, http: requests.Session) -> None:
    started = http.post(
        f"{demo.authority}/oauth2/v2.0/devicecode",
        data={"client_id": demo.client_id, "scope": "User.Read"},
    ).json()
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": started["device_code"],
    }
    errors = [post_token(demo, http, **fields).json()["error"] for _ in range(2)]
    assert errors == ["authorization_pending", "slow_down"]


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"grant_type": "telepathy"}, 70003),
        ({}, 900144),
        ({"grant_type": "refresh_token", "refresh_token": "made-up"}, 9002313),
        ({"grant_type": "password", "username": "ada.demo@demo.example", "password": "no"}, 50126),
    ],
)
def test_token_refusals(
    demo: Demo, http: requests.Session, fields: dict[str, str], number: int
) -> None:
    response = post_token(demo, http, **fields)
    assert response.status_code == 400 and response.json()["error_codes"] == [number]


def test_all_consented_scopes_come_with_a_new_refresh_token(
    demo: Demo, http: requests.Session
) -> None:
    """The used one is spent; without a new one, the client would use it again."""
    spent = tokens(demo, http)["refresh_token"]
    for scope in ("https://graph.microsoft.com/.default openid offline_access", "User.Read"):
        asked = {"scope": f"{scope} offline_access", "refresh_token": spent}
        answer = post_token(demo, http, grant_type="refresh_token", **asked).json()
        assert answer["access_token"]
        assert answer["refresh_token"] != spent
        spent = answer["refresh_token"]


def test_client_info_only_when_asked(demo: Demo, http: requests.Session) -> None:
    assert "client_info" not in tokens(demo, http)
    assert "client_info" in tokens(demo, http, client_info="1")


def test_rebound_name_is_refused(demo: Demo, browser: requests.Session) -> None:
    response = browser.get(demo.provider.verification_uri, headers={"Host": "evil.example"})
    assert response.status_code == 421


def test_loopback_only() -> None:
    for address in ("0.0.0.0", "::", "192.168.1.2", ""):
        with pytest.raises(ValueError, match="only"):
            bind_loopback(0, address)


def test_the_folder_is_private_and_is_removed() -> None:
    with start(access_ttl=1) as short:
        folder = short.folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [path.name for path in folder.iterdir()] == ["ca.pem"]
        assert short.password not in repr(short)
        with requests.Session() as http:
            http.verify = short.ca_file
            token = tokens(short, http)
            assert token["expires_in"] == 1
            header = {"Authorization": f"Bearer {token['access_token']}"}
            assert http.get(f"{short.graph_url}/me", headers=header).status_code == 200
            time.sleep(1.05)
            assert http.get(f"{short.graph_url}/me", headers=header).status_code == 401
    assert not Path(folder).exists()
    assert isinstance(short.provider, Provider)
    with pytest.raises(requests.ConnectionError):
        requests.get(short.provider.verification_uri, timeout=2)
