"""Live ID tokens at a real provider: by their own lifetime, and without new ones."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any

import pytest

from nbauth.core.errors import InteractionRequired
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import Peer, assert_plain, screen_of
from tests.interop.scripted_browser import ScriptedBrowser


def claims_of(id_token: str) -> dict[str, Any]:
    body = id_token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def refreshes(panva: Panva) -> int:
    return panva.token_requests("refresh_token")


@pytest.mark.parametrize(("access_ttl", "id_token_ttl"), [(3600, 3), (3, 3600)])
def test_it_is_renewed_by_its_own_lifetime(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    access_ttl: int,
    id_token_ttl: int,
) -> None:
    panva.control(access_ttl=access_ttl, id_token_ttl=id_token_ttl)
    account = session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    held = session.token(peer.first, id=True)
    first = claims_of(str(held))
    assert first["aud"] == panva.client_id
    assert held.account == account
    assert held.expires_on == first["exp"]
    before = str(held)
    time.sleep(2.6)
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(str(held))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(texts)) == 1
    assert claims_of(texts[0])["exp"] > time.time()
    assert refreshes(panva) == (id_token_ttl == 3)
    assert (texts[0] == before) == (id_token_ttl != 3)
    result = session.acquire(peer.first)
    assert refreshes(panva) == 1  # the access token's, or the one before
    assert result.id_token == str(held) != before
    assert result.id_token_claims["exp"] == held.expires_on
    assert result.account == account


def test_a_provider_that_sends_none_with_a_refresh(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    """OpenID Connect Core §12.2."""
    panva.control(id_token_ttl=6)
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    held = session.token(peer.first, id=True)
    first = str(held)
    panva.odd_id_token(None, times=5)
    time.sleep(max(0.0, held.expires_on - 1.1 - time.time()))
    for _ in range(20):
        try:
            assert str(held) == first
        except InteractionRequired:
            break
    assert refreshes(panva) <= 1
    time.sleep(max(0.0, claims_of(first)["exp"] - time.time()))
    for _ in range(5):
        with pytest.raises(InteractionRequired) as caught:
            str(held)
        assert_plain(caught.value)
    assert caught.value.code == "id_token_not_renewed"
    assert refreshes(panva) <= 2
    panva.reset()
    screen_of(session).there = True
    session.login(peer.first, web_ui=scripted, force=True)
    assert str(held) != first
