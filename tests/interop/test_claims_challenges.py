"""An API that refuses a token and names what it requires, at a real provider."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from nbauth.core.errors import InteractionRequired
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import Peer, address_shown, assert_plain, screen_of
from tests.interop.scripted_browser import ScriptedBrowser

ACRS = {"acrs": {"essential": True, "value": "c1"}}
CP1 = {"xms_cc": {"values": ["CP1"]}}
REFUSAL = {"error": "interaction_required", "error_description": "AADSTS50076: MFA is needed."}
STEP_UP = {
    "www-authenticate": 'Bearer error="insufficient_user_authentication", max_age="3000", '
    'acr_values="urn:mace:incommon:iap:silver urn:mace:incommon:iap:bronze"'
}

Call = Callable[[], int]


@pytest.fixture(params=["requests", "httpx"])
def call(request: pytest.FixtureRequest, session: Session, peer: Peer, panva: Panva) -> Call:
    """Calls the API; returns the status."""
    session.configure(hosts={urlsplit(peer.api_url).netloc: [peer.first]})
    if request.param == "requests":
        return lambda: session.authorised_session().get(peer.api_url).status_code

    def ask() -> int:
        trust = ssl.create_default_context(cafile=panva.ca_file)
        with httpx.Client(auth=session.authorise(), verify=trust) as web:
            return web.get(peer.api_url).status_code

    return ask


def sent(panva: Panva) -> list[int]:
    return [one["status"] for one in panva.requests("api")]


def claims_of(requests: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(one["params"].get("claims", "null")) for one in requests]


def person(session: Session, browser: ScriptedBrowser) -> list[SignIn]:
    """A person with a scripted browser, for each sign-in that a call shows."""
    shown: list[SignIn] = []

    def act(sign_in: SignIn) -> None:
        sign_in.submit(browser(address_shown(sign_in)))

    def show(sign_in: SignIn) -> None:
        shown.append(sign_in)
        threading.Thread(target=act, args=(sign_in,), daemon=True).start()

    screen_of(session).show = show  # type: ignore[method-assign]
    session.configure(open_browser=False)
    return shown


@pytest.mark.parametrize("peer", ["microsoft"], indirect=True)
def test_a_refresh_satisfies_a_claims_challenge(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, call: Call
) -> None:
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    panva.control(step_up="c1")
    assert call() == call() == 200
    assert sent(panva) == [401, 200, 200]
    refreshes = [one for one in panva.requests("token") if one["grant_type"] == "refresh_token"]
    assert claims_of(refreshes) == [{"access_token": CP1}, {"access_token": {**ACRS, **CP1}}]
    assert claims_of(panva.requests("authorization")) == [None], "%login declares nothing"


@pytest.mark.parametrize("peer", ["microsoft"], indirect=True)
def test_a_person_satisfies_a_claims_challenge(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, call: Call
) -> None:
    session.login(peer.first, web_ui=scripted)
    held = session.token(peer.first)
    before = str(held)
    assert call() == 200
    panva.control(step_up="c1")
    panva.fault("token", "json", body=REFUSAL, grant_type="refresh_token")
    shown = person(session, scripted)
    assert call() == call() == 200
    assert sent(panva) == [200, 401, 200, 200]
    assert len(shown) == 1
    (asked,) = panva.requests("authorization")[-1:]
    assert claims_of([asked]) == [{"access_token": {**ACRS, **CP1}}]
    assert asked["params"]["login_hint"] == peer.account[0]
    assert str(held) != before, "the new sign-in gives a better one too"
    assert "claims" not in panva.requests("token")[-1]["params"]


@pytest.mark.parametrize("peer", ["microsoft"], indirect=True)
def test_nobody_is_there(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, call: Call
) -> None:
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    assert call() == 200
    panva.control(step_up="c1")
    panva.fault("token", "json", body=REFUSAL, grant_type="refresh_token")
    for _ in range(2):
        with pytest.raises(InteractionRequired) as dead:
            call()
        assert_plain(dead.value)
        assert "requires a new sign-in" in str(dead.value)
        assert "AADSTS50076" in str(dead.value)
    assert sent(panva) == [200, 401, 401]
    assert panva.token_requests("refresh_token") == 2


@pytest.mark.parametrize("peer", ["oidc"], indirect=True)
def test_a_person_signs_in_again_for_another_issuers_api(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, call: Call
) -> None:
    """RFC 9470. The provider checks the age, and nbauth checks the ID token's ``auth_time``."""
    session.login(peer.first, web_ui=scripted)
    held = session.token(peer.first)
    before = str(held)
    panva.fault("api", "json", status=401, body={}, headers=STEP_UP)
    shown = person(session, scripted)
    assert call() == call() == 200
    assert sent(panva) == [401, 200, 200]
    assert len(shown) == 1
    params = panva.requests("authorization")[-1]["params"]
    assert params["max_age"] == "3000"
    assert params["acr_values"].split()[0] == "urn:mace:incommon:iap:silver"
    assert panva.token_requests("refresh_token") == 0
    assert str(held) != before
