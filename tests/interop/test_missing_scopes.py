"""An API that names a scope which the token lacks, at a real provider with MSAL and Authlib."""

from __future__ import annotations

import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import Peer, screen_of
from tests.interop.scripted_browser import ScriptedBrowser
from tests.interop.test_claims_challenges import person, sent

GRAPH = "https://graph.microsoft.com/"


def challenge(peer: Peer) -> dict[str, Any]:
    text = f"Missing scope permissions on the request. API requires one of '{peer.second}'."
    if peer.name == "microsoft":
        return {"status": 403, "body": {"error": {"code": "Forbidden", "message": text}}}
    header = f'Bearer error="insufficient_scope", scope="{peer.second}"'
    return {"status": 403, "body": {}, "headers": {"www-authenticate": header}}


def listed(session: Session, peer: Peer, *scopes: str) -> None:
    session.configure(hosts={urlsplit(peer.api_url).netloc: list(scopes)})


def entry(peer: Peer) -> tuple[str, ...]:
    return (f"{GRAPH}.default",) if peer.name == "microsoft" else (peer.first, peer.second)


@pytest.fixture(params=["requests", "httpx"])
def call(request: pytest.FixtureRequest, session: Session, peer: Peer, panva: Panva) -> Any:
    """Calls the API with the first scope; returns status and body."""

    def ask() -> tuple[int, Any]:
        if request.param == "requests":
            response = session.authorised_session(peer.first).get(peer.api_url)
            return response.status_code, response.json()
        trust = ssl.create_default_context(cafile=panva.ca_file)
        with httpx.Client(auth=session.authorise(peer.first), verify=trust) as web:
            answer = web.get(peer.api_url)
            return answer.status_code, answer.json()

    return ask


def test_the_person_consents_and_the_call_goes_on(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, call: Any
) -> None:
    session.login(peer.first, web_ui=scripted)
    listed(session, peer, *entry(peer))
    panva.fault("api", "json", **challenge(peer))
    refused = {"error": "invalid_grant", "error_description": "AADSTS65001: consent is missing."}
    if peer.name == "microsoft":  # else the provider would grant it without asking
        for _ in range(2):  # the token of nbauth's calls is fetched before
            panva.fault("token", "json", status=400, body=refused)
    shown = person(session, scripted)
    status, body = call()
    assert status == 200, json.dumps(body)
    assert peer.second in body["scope"]
    assert peer.first in body["scope"]
    assert sent(panva) == [403, 200]
    (sign_in,) = shown
    assert sign_in.request.asked_by == urlsplit(peer.api_url).netloc
    assert call()[0] == 200
    assert sent(panva) == [403, 200, 200]
    assert screen_of(session).said == []


def test_after_the_login_of_the_line_the_call_works(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, call: Any
) -> None:
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    listed(session, peer, peer.first)
    panva.fault("api", "json", **challenge(peer))
    assert call()[0] == 403
    (line,) = screen_of(session).said
    assert "setting hosts" in line
    listed(session, peer, *entry(peer))
    session.login(peer.first, peer.second, web_ui=scripted)
    panva.fault("api", "json", **challenge(peer))
    status, body = call()
    assert status == 200
    assert peer.second in body["scope"]
    assert len(screen_of(session).said) == 1
