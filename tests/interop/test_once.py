"""Repeated events have one effect."""

from __future__ import annotations

import threading

import requests

from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import Peer, address_shown
from tests.interop.scripted_browser import ScriptedBrowser


def test_a_response_delivered_twenty_times_is_redeemed_once(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in = session.login(peer.first, flow="browser", background=True)
    assert isinstance(sign_in, SignIn)
    redirect = scripted(address_shown(sign_in))
    pages: list[str] = []

    def deliver() -> None:
        try:
            with requests.Session() as web:
                web.trust_env = False
                pages.append(web.get(redirect, timeout=10).text)
        except (requests.RequestException, OSError):  # the port may be closed meanwhile
            pages.append("closed")

    threads = [threading.Thread(target=deliver) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sign_in.wait(10)
    assert panva.token_requests() == 1
    assert any("You are signed in" in page for page in pages)


def test_200_uses_of_a_token_of_60_seconds_make_no_request(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    panva.control(access_ttl=60)
    session.login(peer.first, web_ui=scripted)
    held = session.token(peer.first)
    before = panva.token_requests()
    assert len({str(held) for _ in range(200)}) == 1
    assert 55 < held.expires_in <= 60
    assert panva.token_requests() == before
