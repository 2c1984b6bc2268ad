"""A standard client, the real provider and a person in a real browser: the harness works."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.server
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import msal
import pytest
import requests
from playwright.sync_api import BrowserContext, Page

from tests.harness.panva import DEVICE_GRANT, Panva
from tests.harness.person import Person

USER_READ = "https://graph.microsoft.com/User.Read"
MAIL_READ = "https://graph.microsoft.com/Mail.Read"


# --------------------------------------------------------------------------- stock clients


@pytest.fixture
def app(panva: Panva) -> msal.PublicClientApplication:
    return msal.PublicClientApplication(
        panva.client_id,
        authority=panva.ms_authority,
        instance_discovery=False,
        verify=panva.ca_file,
    )


@pytest.fixture
def web(panva: Panva) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = panva.ca_file
        yield session


def aside(work: Callable[[], Any]) -> Future[Any]:
    """Run in another thread, since the browser's API belongs to this one."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


@dataclass
class Redirects:
    """The requests that arrived at a redirect URI."""

    url: str = ""
    arrived: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def redirect_listener() -> Iterator[Redirects]:
    redirects = Redirects()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.take(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self.take(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def take(self, query: str) -> None:
            fields = {name: values[0] for name, values in parse_qs(query).items()}
            if "state" in fields:
                redirects.arrived.append(fields)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>Back again</title>done")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    redirects.url = f"http://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield redirects
    server.shutdown()
    server.server_close()


def device_tokens(
    panva: Panva, web: requests.Session, person: Person, where: BrowserContext, user: str = "ada"
) -> dict[str, Any]:
    """Sign in at the plain issuer by device code, with nothing but requests."""
    scope = "openid profile email offline_access read"
    flow = web.post(
        f"{panva.issuer}/device/auth", {"client_id": panva.client_id, "scope": scope}
    ).json()
    person.approve_device(where, flow["verification_uri"], flow["user_code"], user)
    answer = web.post(
        f"{panva.issuer}/token",
        {
            "client_id": panva.client_id,
            "grant_type": DEVICE_GRANT,
            "device_code": flow["device_code"],
        },
    )
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def refresh(panva: Panva, web: requests.Session, token: str) -> requests.Response:
    body = {"client_id": panva.client_id, "grant_type": "refresh_token", "refresh_token": token}
    return web.post(f"{panva.issuer}/token", body)


def claims_of(id_token: str) -> dict[str, Any]:
    payload = id_token.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims


def verified(id_token: str, panva: Panva, web: requests.Session) -> dict[str, Any]:
    """The claims, after a check of the signature by the published key, and of nothing else."""
    (key,) = web.get(f"{panva.issuer}/jwks").json()["keys"]
    claims: dict[str, Any] = jwt.decode(
        id_token,
        jwt.PyJWK(key),
        algorithms=["RS256"],
        options={"verify_aud": False, "verify_exp": False, "verify_iss": False},
    )
    return claims


@dataclass
class CodeFlow:
    """An authorization request at the plain issuer, by hand."""

    redirect_uri: str
    prompt: str | None = None
    response_mode: str = "query"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def url(self, panva: Panva) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
        asked = {
            "client_id": panva.client_id,
            "response_type": "code",
            "response_mode": self.response_mode,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile offline_access read",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        if self.prompt is not None:
            asked["prompt"] = self.prompt
        return f"{panva.issuer}/auth?{urlencode(asked)}"

    def redeem(self, panva: Panva, web: requests.Session, code: str) -> dict[str, Any]:
        answer = web.post(
            f"{panva.issuer}/token",
            {
                "client_id": panva.client_id,
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": self.verifier,
            },
        )
        tokens: dict[str, Any] = answer.json()
        return tokens


# --------------------------------------------------------------------------- Microsoft's shape


def test_msal_signs_in_by_device_code_and_refreshes(
    panva: Panva,
    app: msal.PublicClientApplication,
    person: Person,
    browser_context: BrowserContext,
) -> None:
    flow = app.initiate_device_flow([USER_READ])
    assert flow["interval"] == 1
    assert flow["user_code"] in flow["message"]
    polling = aside(lambda: app.acquire_token_by_device_flow(flow))
    person.approve_device(browser_context, flow["verification_uri"], flow["user_code"])
    result = polling.result(timeout=20)

    assert USER_READ in result["scope"].split()
    (account,) = app.get_accounts()
    assert account["username"] == "ada@example.org"
    assert account["home_account_id"] == panva.home_account_id("ada")
    claims = result["id_token_claims"]
    assert (claims["tid"], claims["oid"]) == (panva.tenant, panva.object_id("ada"))
    assert (claims["name"], claims["ver"]) == ("Ada Lovelace", "2.0")
    assert panva.token_requests(DEVICE_GRANT) >= 1

    first = result["refresh_token"]
    again = app.acquire_token_silent_with_error([USER_READ], account, force_refresh=True)
    assert again["access_token"] != result["access_token"]
    assert panva.token_requests("refresh_token") == 1
    (kept,) = app.token_cache.search(msal.TokenCache.CredentialType.REFRESH_TOKEN)
    assert kept["secret"] != first  # rotated

    # The first refresh token again: reuse, which ends the whole grant.
    reused = app.acquire_token_by_refresh_token(first, [USER_READ])
    assert reused["error"] == "invalid_grant"
    after = app.acquire_token_silent_with_error([USER_READ], account, force_refresh=True)
    assert after["error"] == "invalid_grant"


def test_msal_signs_in_by_authorization_code(
    panva: Panva,
    app: msal.PublicClientApplication,
    person: Person,
    browser_context: BrowserContext,
) -> None:
    with redirect_listener() as redirects:
        flow = app.initiate_auth_code_flow(
            [MAIL_READ],
            redirect_uri=redirects.url,
            prompt="select_account",
            login_hint="grace",
            response_mode="form_post",
        )
        ended = person.open_and_sign_in(browser_context, flow["auth_uri"], user=None)
        assert ended.startswith(redirects.url)
        (answer,) = redirects.arrived
    assert answer["iss"] == panva.ms_issuer
    result = app.acquire_token_by_auth_code_flow(flow, answer)
    assert MAIL_READ in result["scope"].split()
    assert result["id_token_claims"]["preferred_username"] == "grace@example.org"
    assert result["refresh_token"]  # with no prompt=consent, as Microsoft's server gives it
    (asked,) = panva.requests("authorization")
    assert asked["params"]["prompt"] == "select_account"
    assert asked["params"]["login_hint"] == "grace"


# --------------------------------------------------------------------------- the plain issuer


def test_the_plain_issuer_issues_a_refresh_token_only_after_consent(
    panva: Panva, web: requests.Session, person: Person, browser_context: BrowserContext
) -> None:
    with redirect_listener() as redirects:
        plain = CodeFlow(redirects.url + "/callback")
        person.open_and_sign_in(browser_context, plain.url(panva))
        tokens = plain.redeem(panva, web, redirects.arrived[0]["code"])
        assert "refresh_token" not in tokens
        assert claims_of(tokens["id_token"])["nonce"] == plain.nonce

        consent = CodeFlow(redirects.url, prompt="consent", response_mode="form_post")
        person.open_and_sign_in(browser_context, consent.url(panva))
        answer = redirects.arrived[1]
        assert (answer["state"], answer["iss"]) == (consent.state, panva.issuer)
        tokens = consent.redeem(panva, web, answer["code"])
        assert tokens["refresh_token"]
        assert set(tokens["scope"].split()) == {"openid", "profile", "offline_access", "read"}

    api = web.get(panva.api_url, headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert api.json()["sub"] == "ada"
    assert web.get(panva.api_url).status_code == 401


def test_the_redirect_is_seen_without_a_listener(
    panva: Panva, web: requests.Session, person: Person, browser_context: BrowserContext
) -> None:
    flow = CodeFlow("http://127.0.0.1:9/callback")
    page: Page = browser_context.new_page()
    page.goto(flow.url(panva))
    ended = person.sign_in(page, "grace")
    answer = parse_qs(urlsplit(ended).query)
    assert ended.startswith("http://127.0.0.1:9/callback?")
    tokens = flow.redeem(panva, web, answer["code"][0])
    assert claims_of(tokens["id_token"])["name"] == "Grace Hopper"


def test_a_person_can_decline(
    panva: Panva, web: requests.Session, person: Person, browser_context: BrowserContext
) -> None:
    with redirect_listener() as redirects:
        flow = CodeFlow(redirects.url)
        page = browser_context.new_page()
        page.goto(flow.url(panva))
        person.decline(page)
        (answer,) = redirects.arrived
    assert answer["error"] == "access_denied"
    assert answer["state"] == flow.state

    device = web.post(
        f"{panva.issuer}/device/auth", {"client_id": panva.client_id, "scope": "openid"}
    ).json()
    body = {
        "client_id": panva.client_id,
        "grant_type": DEVICE_GRANT,
        "device_code": device["device_code"],
    }
    pending = web.post(f"{panva.issuer}/token", body)
    assert (pending.status_code, pending.json()["error"]) == (400, "authorization_pending")
    person.decline_device(browser_context, device["verification_uri"], device["user_code"])
    denied = web.post(f"{panva.issuer}/token", body)
    assert (denied.status_code, denied.json()["error"]) == (400, "access_denied")


def test_life_times(
    panva: Panva, web: requests.Session, person: Person, browser_context: BrowserContext
) -> None:
    panva.control(access_ttl=1, device_ttl=1, device_interval=7)
    asked = {"client_id": panva.client_id, "scope": "openid"}
    flow = web.post(f"{panva.issuer}/device/auth", asked).json()
    assert (flow["expires_in"], flow["interval"]) == (1, 7)
    time.sleep(2)
    late = web.post(
        f"{panva.issuer}/token",
        {
            "client_id": panva.client_id,
            "grant_type": DEVICE_GRANT,
            "device_code": flow["device_code"],
        },
    )
    assert late.json()["error"] == "expired_token"
    panva.without_interval()
    assert "interval" not in web.post(f"{panva.issuer}/device/auth", asked).json()

    panva.control(device_ttl=600)
    tokens = device_tokens(panva, web, person, browser_context)
    assert tokens["expires_in"] == 1
    time.sleep(1.1)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert web.get(panva.api_url, headers=bearer).status_code == 401


# --------------------------------------------------------------------------- spoiling things


def test_tampered_id_tokens_and_the_rest_of_the_control_channel(
    panva: Panva, web: requests.Session, person: Person, browser_context: BrowserContext
) -> None:
    tokens = device_tokens(panva, web, person, browser_context)
    good = verified(tokens["id_token"], panva, web)
    for what in ("iss", "aud", "exp", "sub", "nonce"):
        panva.tamper(what)
        tokens = refresh(panva, web, tokens["refresh_token"]).json()
        wrong = verified(tokens["id_token"], panva, web)
        assert wrong.get(what) != good.get(what), what
        if what == "exp":
            assert wrong["exp"] < time.time()
    panva.tamper("signature")
    tokens = refresh(panva, web, tokens["refresh_token"]).json()
    with pytest.raises(jwt.InvalidSignatureError):
        verified(tokens["id_token"], panva, web)
    panva.tamper("alg_none")
    tokens = refresh(panva, web, tokens["refresh_token"]).json()
    header, _, signature = tokens["id_token"].split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "none"}
    assert signature == ""
    tokens = refresh(panva, web, tokens["refresh_token"]).json()  # one request, one bad token
    assert verified(tokens["id_token"], panva, web)["iss"] == panva.issuer

    assert panva.revoke("ada") >= 1
    dead = refresh(panva, web, tokens["refresh_token"])
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_tampered_issuer_of_the_response(
    panva: Panva, person: Person, browser_context: BrowserContext, mode: str
) -> None:
    panva.tamper("response_iss")
    panva.tamper("response_iss_missing")
    with redirect_listener() as redirects:
        for _ in range(3):
            url = CodeFlow(redirects.url, response_mode=mode).url(panva)
            person.open_and_sign_in(browser_context, url)
    issuers = [answer.get("iss") for answer in redirects.arrived]
    assert issuers == ["https://issuer.invalid", None, panva.issuer]


def test_faults(panva: Panva, web: requests.Session) -> None:
    token, wrong = f"{panva.issuer}/token", {"client_id": panva.client_id, "grant_type": "x"}
    panva.fault("token", "503")
    assert web.post(token, wrong).status_code == 503
    panva.fault("token", "slow_down")
    assert web.post(token, wrong).json()["error"] == "slow_down"
    panva.fault("token", "html", times=2)
    for _ in range(2):
        answer = web.post(token, wrong)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
    panva.fault("token", "drop")
    with pytest.raises(requests.ConnectionError):
        web.post(token, wrong)
    panva.fault("token", "hang")
    with pytest.raises(requests.ReadTimeout):
        web.post(token, wrong, timeout=0.3)
    panva.fault(
        "token", "json", grant_type="refresh_token", status=429, headers={"Retry-After": "9"}
    )
    assert (
        web.post(token, wrong).json()["error"] == "unsupported_grant_type"
    )  # another endpoint is not affected
    assert refresh(panva, web, "none").headers["Retry-After"] == "9"
    panva.fault("discovery", "503")
    discovery = f"{panva.issuer}/.well-known/openid-configuration"
    assert [web.get(discovery).status_code for _ in range(2)] == [503, 200]
    panva.fault("jwks", "html")
    panva.fault("device_authorization", "503", issuer="microsoft")
    assert web.get(f"{panva.issuer}/jwks").text.startswith("<!DOCTYPE html>")
    asked = {"client_id": panva.client_id, "scope": "openid"}
    assert web.post(f"{panva.issuer}/device/auth", asked).status_code == 200
    assert web.post(f"{panva.ms_issuer}/device/auth", asked).status_code == 503
    panva.fault("token", "503", times=99)
    panva.reset()
    assert web.post(token, wrong).status_code == 400


def test_the_browser_leaves_the_main_thread_free_for_asyncio(panva: Panva) -> None:
    async def answer() -> int:
        return 42

    assert asyncio.run(answer()) == 42
    assert panva.requests() == []


def test_requests_hold_no_secret(
    panva: Panva, web: requests.Session, person: Person, browser_context: BrowserContext
) -> None:
    with redirect_listener() as redirects:
        flow = CodeFlow(redirects.url, prompt="consent")
        person.open_and_sign_in(browser_context, flow.url(panva))
    answer = redirects.arrived[0]
    code = flow.redeem(panva, web, answer["code"])
    renewed = refresh(panva, web, code["refresh_token"]).json()
    web.get(panva.api_url, headers={"Authorization": f"Bearer {renewed['access_token']}"})
    web.get(f"{panva.issuer}/userinfo?access_token={renewed['access_token']}")
    web.post(
        f"{panva.issuer}/token/revocation",
        {"client_id": panva.client_id, "token": renewed["refresh_token"]},
    )
    device = device_tokens(panva, web, person, browser_context)

    seen = panva.requests()
    kinds = {one["endpoint"] for one in seen}
    assert {"authorization", "resume", "interaction", "token", "api", "revocation"} <= kinds
    secret = [answer["code"], flow.verifier, flow.state, flow.nonce, "any password"]
    secret += [
        tokens[name]
        for tokens in (code, renewed, device)
        for name in ("access_token", "refresh_token", "id_token")
    ]
    written = json.dumps(seen)
    assert [one for one in secret if one in written] == []
    redeemed = next(one for one in seen if one["grant_type"] == "authorization_code")
    assert redeemed["status"] == 200
    assert "code_verifier" in redeemed["fields"]
    assert panva.token_requests() == 3


# --------------------------------------------------------------------------- the process


def test_the_provider_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    orphan = """
import os, pathlib, sys
from tests.harness.certificates import make_certificates
from tests.harness.panva import running_panva
here = pathlib.Path(sys.argv[1])
with running_panva(make_certificates(here), here) as panva:
    print(panva.issuer, flush=True)
    os._exit(9)
"""
    ended = subprocess.run(
        [sys.executable, "-c", orphan, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr
    port = urlsplit(ended.stdout.strip()).port
    deadline = time.monotonic() + 5
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.05)
