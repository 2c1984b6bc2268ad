"""Resource indicators (RFC 8707), at an issuer without a path, over http on loopback."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import InteractionRequired, NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.protocol import Pending
from nbauth.oauth.authorities import parse
from nbauth.oauth.engines import engine_for
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.testing.screen import RecordingScreen
from tests.harness import missing
from tests.harness.panva import PROVIDER
from tests.interop.scripted_browser import ScriptedBrowser

STOCK, ORDERS = "https://stock.example/", "https://orders.example/"
NOWHERE = "https://nowhere.example/"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Start the provider, and end it."""
    node = shutil.which("node")
    if node is None:
        missing("node")
    process = subprocess.Popen(
        [node, "resources.mjs"], cwd=PROVIDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    too_late = threading.Timer(30, process.kill)
    too_late.start()
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["issuer"]
    finally:
        too_late.cancel()
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def session(issuer: str) -> Iterator[Session]:
    """A session with a person who approves each device code."""

    def person(sign_in: Pending) -> None:
        def look(_: object) -> None:
            step: Any = sign_in.step
            if type(step).__name__ == "ShowUserCode":
                ScriptedBrowser("").approve(step.verification_uri, step.user_code)

        sign_in.changed.connect(look)
        look(None)

    environ = {"NBAUTH_AUTHORITY": issuer, "NBAUTH_CLIENT_ID": "notebooks"}
    made = Session(SettingsReader(environ), RecordingScreen(person=person))
    made.configure(refresh_ahead=False, timeout=20)
    yield made
    made.rest()


def audience(access_token: str) -> Any:
    """What a resource server reads; nbauth itself never parses an access token."""
    part = access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["aud"]


def for_api(resource: str) -> dict[str, Any]:
    return {"extra_parameters": {"resource": resource}}


def test_each_api_gets_its_own_token_of_the_same_account(session: Session) -> None:
    first = session.login("read", "stock", web_ui=ScriptedBrowser(""), **for_api(STOCK))
    assert isinstance(first, Account)
    stock = session.acquire("read", "stock", **for_api(STOCK))
    assert (stock.source, audience(stock.access_token)) == ("cache", STOCK)
    with pytest.raises(InteractionRequired):
        session.acquire("read", "orders", interactive=False, **for_api(ORDERS))
    orders = session.acquire("read", "orders", **for_api(ORDERS))
    assert (orders.account, audience(orders.access_token)) == (first, ORDERS)
    again = session.acquire("read", "stock", **for_api(STOCK))
    assert again.access_token == stock.access_token


def test_a_refresh_is_for_the_same_api(session: Session) -> None:
    session.login("read", "orders", web_ui=ScriptedBrowser(""), **for_api(ORDERS))
    before = session.acquire("read", "orders", **for_api(ORDERS)).access_token
    fresh = session.acquire("read", "orders", force_refresh=True, **for_api(ORDERS))
    assert fresh.source == "refresh"
    assert fresh.access_token != before
    assert audience(fresh.access_token) == ORDERS


def test_an_unknown_api_is_the_providers_error(session: Session) -> None:
    with pytest.raises(NbAuthError) as caught:
        session.login("read", **for_api(NOWHERE))
    assert caught.value.code == "invalid_target"
    assert session.accounts() == []


@pytest.mark.parametrize("way", ["code", "device"])
def test_strict_rotation(issuer: str, way: str) -> None:
    engine = engine_for(parse(issuer), "notebooks")
    request = AuthorizationRequest(
        Scopes.parse(["openid", "offline_access", "read", "stock"], microsoft=False),
        extra_parameters={"resource": STOCK},
    )
    response = signed_in(engine, request, way)
    assert response.refresh_token is not None
    assert audience(response.access_token) == STOCK
    second = engine.refresh(response.refresh_token, request.scopes)
    assert second.refresh_token not in {None, response.refresh_token}
    with pytest.raises(InteractionRequired):
        engine.refresh(response.refresh_token, request.scopes)
    assert second.refresh_token is not None
    with pytest.raises(InteractionRequired):  # the whole grant is revoked
        engine.refresh(second.refresh_token, request.scopes)
    engine.close()


def signed_in(engine: Any, request: AuthorizationRequest, way: str) -> TokenResponse:
    from nbauth.core.steps import Receiving

    browser = ScriptedBrowser("")
    if way == "device":
        device = engine.start_device(request)
        browser.approve(device.verification_uri, device.user_code)
        return engine.poll_device(device)  # type: ignore[no-any-return]
    pending = engine.authorize(request, Receiving("http://127.0.0.1:9/callback", "a-state"))
    ended = browser(pending.authorize_url)
    fields = dict(pair.split("=", 1) for pair in ended.partition("?")[2].split("&"))
    return engine.redeem(pending, fields)  # type: ignore[no-any-return]
