"""requests and httpx with ``nbauth.auth`` at a protected resource of the provider."""

from __future__ import annotations

import asyncio
import gc
import ssl
from urllib.parse import urlsplit

import httpx
import pytest
import requests

import nbauth
import nbauth.process_session
from nbauth.core.errors import InteractionRequired
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import Peer, assert_plain, screen_of
from tests.interop.scripted_browser import ScriptedBrowser


@pytest.fixture(autouse=True)
def signed_in(
    session: Session, peer: Peer, scripted: ScriptedBrowser, monkeypatch: pytest.MonkeyPatch
) -> Session:
    """The process's session, signed in, with its API listed; no user is present any more."""
    monkeypatch.setattr(nbauth.process_session, "_session", session)
    session.configure(hosts={urlsplit(peer.api_url).netloc: [peer.first]})
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    return session


def trusted(panva: Panva) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=panva.ca_file)


def sent(panva: Panva) -> list[int]:
    return [one["status"] for one in panva.requests("api")]


def of_calls(peer: Peer) -> int:
    """The number of refreshes for a token that declares a capability; see docs/python.md."""
    return 1 if peer.name == "microsoft" else 0


def test_requests(peer: Peer, panva: Panva) -> None:
    answer = requests.get(peer.api_url, auth=nbauth.auth(), verify=panva.ca_file, timeout=5)
    assert answer.status_code == 200
    assert any(scope.endswith(peer.first) for scope in answer.json()["scope"].split())
    with nbauth.session() as web:
        assert web.get(peer.api_url).json()["sub"] == "ada"
        assert web.post(peer.api_url, json={"a": 1}).status_code == 200
    assert sent(panva) == [200, 200, 200]
    assert panva.token_requests("refresh_token") == of_calls(peer)


def test_httpx(peer: Peer, panva: Panva) -> None:
    with httpx.Client(auth=nbauth.auth(), verify=trusted(panva)) as web:
        assert web.get(peer.api_url).json()["sub"] == "ada"

    async def awaited() -> int:
        async with httpx.AsyncClient(auth=nbauth.auth(peer.first), verify=trusted(panva)) as web:
            return (await web.get(peer.api_url)).status_code

    assert asyncio.run(awaited()) == 200
    assert sent(panva) == [200, 200]


def test_another_host_or_port_gets_nothing(peer: Peer, panva: Panva) -> None:
    other = panva.api_url if peer.name == "microsoft" else panva.ms_api_url
    elsewhere = peer.api_url.replace("127.0.0.1", "localhost")
    for url in (other, elsewhere):
        answer = requests.get(url, auth=nbauth.auth(), verify=panva.ca_file, timeout=5)
        assert answer.status_code == 401
        with httpx.Client(auth=nbauth.auth(), verify=trusted(panva)) as web:
            assert web.get(url).status_code == 401
    challenges = panva.requests("api")
    assert len(challenges) == 4  # no request was repeated


def one_request(client: str, peer: Peer, panva: Panva) -> int:
    if client == "requests":
        answer = requests.get(peer.api_url, auth=nbauth.auth(), verify=panva.ca_file, timeout=5)
        return answer.status_code
    with httpx.Client(auth=nbauth.auth(), verify=trusted(panva)) as web:
        return web.get(peer.api_url).status_code


@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_a_token_that_the_api_rejects_is_renewed_once(
    peer: Peer, panva: Panva, client: str
) -> None:
    panva.fault("api", "json", status=401, body={"error": "invalid_token"})
    assert one_request(client, peer, panva) == 200
    assert sent(panva) == [401, 200]
    assert panva.token_requests("refresh_token") == 1 + of_calls(peer)


@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_an_api_that_rejects_every_token(peer: Peer, panva: Panva, client: str) -> None:
    panva.fault("api", "json", times=9, status=401, body={"error": "invalid_token"})
    assert one_request(client, peer, panva) == 401
    assert sent(panva) == [401, 401]
    assert panva.token_requests("refresh_token") == 1 + of_calls(peer)


@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_a_sign_in_that_was_revoked(peer: Peer, panva: Panva, client: str) -> None:
    panva.revoke()
    for _ in range(2):
        with pytest.raises(InteractionRequired) as dead:
            one_request(client, peer, panva)
        assert_plain(dead.value)
    del dead
    gc.collect()  # no connection is left over
    assert sent(panva) == [401, 401]
    assert panva.token_requests("refresh_token") == 1
