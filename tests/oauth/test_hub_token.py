"""What the hub's API answers about a user, and what the administrator is told to set."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    TokenError,
)
from nbauth.core.scopes import Scopes
from nbauth.oauth.authorities import Authority, parse
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import OnBehalfOf
from nbauth.oauth.flows import FLOWS, on_behalf_of
from nbauth.oauth.flows.by_identity import token_of
from nbauth.oauth.identities import hub
from nbauth.oauth.identities.hub import Hub
from nbauth.testing.engine import FakeEngine, refusal
from tests.harness.frames import kept_by

ENTRA = parse("https://login.microsoftonline.com/contoso.com")
OTHER = parse("https://id.example")
TENANT = "00000000-0000-0000-0000-000000000001"
OF_TENANT = parse(f"https://login.microsoftonline.com/{TENANT}")


def drip(handler: BaseHTTPRequestHandler, seconds: float) -> None:
    """Send one byte at a time."""
    with contextlib.suppress(OSError):
        for _ in range(int(seconds / 0.05)):
            handler.wfile.write(b" ")
            time.sleep(0.05)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, self.headers.get("Authorization")))
        if server.delay:
            time.sleep(server.delay)
        self.send_response(server.status)
        if server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        if server.drip:
            drip(self, server.drip)
        else:
            self.wfile.write(server.body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The hub's API; the environment is that of ada's server."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.seen, server.status, server.delay, server.drip = [], 200, 0, 0.0
    server.body = model({"access_token": "upstream"})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/hub/api"
    monkeypatch.setenv(hub.URL, url)
    monkeypatch.setenv(hub.TOKEN, "server-token")
    monkeypatch.setenv(hub.USER, "ada@corp/x")
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def model(auth_state: Any) -> str:
    return json.dumps({"name": "ada", "auth_state": auth_state})


def request(scopes: str = "read", microsoft: bool = False) -> AuthorizationRequest:
    return AuthorizationRequest(Scopes.parse(scopes.split(), microsoft=microsoft))


def test_it_asks_for_the_user_of_this_server(api: Any) -> None:
    answer = Hub().get(("read",), "", None)
    assert (answer.token, answer.expires_on, answer.who.username) == (
        "upstream",
        None,
        "ada@corp/x",
    )
    assert api.seen == [("/hub/api/users/ada%40corp%2Fx", "token server-token")]


@pytest.mark.parametrize(
    ("state", "scopes", "ends"),
    [
        ({"access_token": "a", "scope": ["read", "write"]}, ("read", "write"), None),
        ({"token_response": {"access_token": "a", "scope": "read"}}, ("read",), None),
        ({"access_token": "a", "expires_at": 2e9}, (), 2e9),
        ({"access_token": "a", "token_response": {"expires_at": 2_000_000_000}}, (), 2e9),
        ({"access_token": "a", "token_response": None, "scope": 5, "expires_at": "x"}, (), None),
    ],
)
def test_what_authenticators_store(api: Any, state: Any, scopes: Any, ends: Any) -> None:
    api.body = model(state)
    answer = Hub().get(("read",), "", None)
    assert (answer.token, answer.scopes, answer.expires_on) == ("a", scopes, ends)


@pytest.mark.parametrize(
    ("status", "body", "error", "code", "hint"),
    [
        (403, "{}", FlowUnavailable, "hub_refused", "admin:auth_state!user"),
        (404, "{}", FlowUnavailable, "hub_refused", "restart your server"),
        (200, '{"name": "ada"}', FlowUnavailable, "no_auth_state_scope", "admin:auth_state!user"),
        (200, model(None), FlowUnavailable, "no_auth_state", "JUPYTERHUB_CRYPT_KEY"),
        (200, model({}), FlowUnavailable, "no_upstream_token", "OAuthenticator"),
        (200, model({"access_token": ""}), FlowUnavailable, "no_upstream_token", "OAuthenticator"),
        (
            200,
            model({"access_token": "a", "expires_at": 5}),
            TokenError,
            "upstream_token_expired",
            "auth_refresh_age",
        ),
        (500, "", AuthorityUnreachable, "hub_unreachable", "Try again"),
        (503, "", AuthorityUnreachable, "hub_unreachable", "Try again"),
        (302, "", AuthorityUnreachable, "hub_unreachable", "Try again"),
        (200, "<html>", AuthorityUnreachable, "hub_unreachable", "Try again"),
        (200, "[]", AuthorityUnreachable, "hub_unreachable", "Try again"),
    ],
)
def test_what_is_wrong_and_who_has_to_set_what(
    api: Any, status: int, body: str, error: type[NbAuthError], code: str, hint: str
) -> None:
    api.status, api.body = status, body
    with pytest.raises(error) as caught:
        Hub().get(("read",), "", None)
    assert caught.value.code == code
    assert hint in caught.value.hint
    assert len(api.seen) == 1
    assert "server-token" not in f"{caught.value} {caught.value.hint}"


def test_the_hub_is_gone_or_slow(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TIMEOUT", (0.5, 0.5))
    api.delay = 1
    with pytest.raises(AuthorityUnreachable, match="ReadTimeout"):
        Hub().get(("read",), "", None)
    monkeypatch.setenv(hub.URL, "http://127.0.0.1:9/hub/api")
    with pytest.raises(AuthorityUnreachable, match="ConnectionError"):
        Hub().get(("read",), "", None)


@pytest.mark.timing
def test_the_hub_sends_byte_by_byte(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "LONGEST", 0.5, raising=False)
    api.drip = 4
    began = time.monotonic()
    with pytest.raises(AuthorityUnreachable, match="Late"):
        Hub().get(("read",), "", None)
    assert time.monotonic() - began < 2


def test_the_hub_sends_too_much(api: Any) -> None:
    api.body = model({"access_token": "a", "more": "x" * 1_000_000})
    with pytest.raises(AuthorityUnreachable, match="TooLarge"):
        Hub().get(("read",), "", None)


def test_no_secret_of_the_hub_is_kept_by_an_error(api: Any) -> None:
    """IPython shows the variables of each frame, if other code raises an error from this one."""
    secrets = ("the-access", "the-refresh", "the-id", "server-token")
    state = {"access_token": secrets[0], "refresh_token": secrets[1], "id_token": secrets[2]}
    whole = model({**state, "expires_at": 1.0})
    for body in (whole, model({**state, "access_token": 5}), whole[:-2], f"[{whole}]"):
        api.body = body
        with pytest.raises(NbAuthError) as caught:
            token_of(Hub(), OTHER, request())
        kept = kept_by(caught.value)
        assert not [secret for secret in secrets if secret in kept], body


@pytest.mark.parametrize("flow", ["hub", "obo"])
@pytest.mark.parametrize("name", [hub.URL, hub.TOKEN, hub.USER])
def test_outside_a_hub(api: Any, monkeypatch: pytest.MonkeyPatch, flow: str, name: str) -> None:
    monkeypatch.delenv(name)
    renew = FLOWS[flow].renew
    assert renew is not None
    with pytest.raises(FlowUnavailable):
        renew(FakeEngine(OTHER), request())
    with pytest.raises(FlowUnavailable, match=f"{name} is not set"):
        Hub().get(("read",), "", None)


def test_a_token_for_another_api_is_not_used(api: Any) -> None:
    api.body = model({"access_token": "a", "scope": ["User.Read", "openid"]})
    graph = token_of(Hub(), ENTRA, request("Mail.Read", microsoft=True))
    assert graph.scopes == ("https://graph.microsoft.com/User.Read", "openid")
    with pytest.raises(TokenError, match=r"is for https://graph\.microsoft\.com") as caught:
        token_of(Hub(), ENTRA, request("https://vault.azure.net/.default", microsoft=True))
    assert "--flow obo" in caught.value.hint


def id_token(issuer: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


@pytest.mark.parametrize(
    ("issuer", "authority", "is_used"),
    [
        ("https://id.example", OTHER, True),
        ("https://id.example/", OTHER, True),
        ("https://other.example", OTHER, False),
        (
            "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001/v2.0",
            ENTRA,
            True,
        ),
        (
            "https://login.microsoftonline.us/00000000-0000-0000-0000-000000000001/v2.0",
            ENTRA,
            False,
        ),
        ("https://sts.windows.net/00000000-0000-0000-0000-000000000001/", ENTRA, True),
        (f"https://login.microsoftonline.com/{TENANT}/v2.0", OF_TENANT, True),
        (f"https://sts.windows.net/{TENANT}/", OF_TENANT, True),
        (f"https://login.microsoftonline.com/{TENANT[:-1]}2/v2.0", OF_TENANT, False),
        (f"https://sts.windows.net/{TENANT[:-1]}2/", OF_TENANT, False),
        (f"https://sts.chinacloudapi.cn/{TENANT}/", OF_TENANT, False),
        ("https://id.example", ENTRA, False),
        ("https://login.microsoftonline.com/contoso.com/v2.0", OTHER, False),
    ],
)
def test_a_token_of_another_issuer_is_not_used(
    api: Any, issuer: str, authority: Authority, is_used: bool
) -> None:
    api.body = model({"access_token": "a", "id_token": id_token(issuer)})
    asked = request("User.Read" if authority.microsoft else "read", authority.microsoft)
    if is_used:
        assert token_of(Hub(), authority, asked).access_token == "a"
        return
    engine = FakeEngine(authority)
    for call in (
        lambda: token_of(Hub(), authority, asked),
        lambda: on_behalf_of.get(engine, asked),
    ):
        with pytest.raises(ConfigurationError, match="gives tokens of"):
            call()
    assert engine.calls == []


@pytest.mark.parametrize("odd", [5, "", "x", "a.b", "a.e30.c", "a.bnVsbA.c", "a.\ud800.c"])
def test_an_id_token_that_says_nothing(api: Any, odd: Any) -> None:
    api.body = model({"access_token": "a", "id_token": odd})
    assert Hub().get(("read",), "", None).issuer == ""


def test_the_exchange_uses_the_newest_token(api: Any) -> None:
    engine = FakeEngine(OTHER)
    for number in (1, 2):
        api.body = model({"access_token": f"upstream-{number}"})
        response = on_behalf_of.get(engine, request())
        wanted = engine.calls[-1].arguments["wanted"]
        assert isinstance(wanted, OnBehalfOf)
        assert wanted.token == f"upstream-{number}"
        assert "upstream" not in repr(wanted)
    assert response.refresh_token is None
    assert response.principal is not None
    assert response.principal.id == "obo:ada@corp/x"


@pytest.mark.parametrize(
    ("word", "text", "error", "hint"),
    [
        (
            "invalid_grant",
            "AADSTS65001: no consent",
            ConsentRequired,
            "admin-consent --id notebooks",
        ),
        ("invalid_grant", "AADSTS500131: audience", NbAuthError, "api://CLIENT_ID"),
        ("invalid_grant", "AADSTS50013: signature", NbAuthError, "Log out at the hub"),
        ("interaction_required", "AADSTS50076: MFA", InteractionRequired, "Log out at the hub"),
        ("interaction_required", "claims are needed", InteractionRequired, "Log out at the hub"),
    ],
)
def test_why_an_exchange_is_refused(
    api: Any, word: str, text: str, error: type[NbAuthError], hint: str
) -> None:
    engine = FakeEngine(OTHER).will("obtain", refusal(word, text))
    with pytest.raises(error) as caught:
        on_behalf_of.get(engine, request())
    assert hint in caught.value.hint
