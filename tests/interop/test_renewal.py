"""Renewing, against a provider that rotates refresh tokens and revokes on reuse."""

from __future__ import annotations

import threading

import pytest

from nbauth.core.errors import AuthorityUnreachable, InteractionRequired
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import PEERS, Peer, assert_plain, authorised, new_session, peer_of
from tests.interop.scripted_browser import ScriptedBrowser


def sign_in(session: Session, peer: Peer, scripted: ScriptedBrowser) -> None:
    session.login(peer.first, web_ui=scripted)


def expire(session: Session) -> None:
    """Let every cached token be at its end, whatever its life."""
    for token in session.cache.tokens.values():
        token._until = token._until_wall = token.expires_on = 0


def test_rotation_over_several_expiries(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in(session, peer, scripted)
    held = session.token(peer.first)
    seen = {str(held)}
    for round_ in range(1, 4):
        expire(session)
        seen.add(str(held))
        assert panva.token_requests("refresh_token") == round_
    assert len(seen) == 4


def test_32_threads_and_one_expired_token_make_one_request(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in(session, peer, scripted)
    held = session.token(peer.first)
    expire(session)
    start, got = threading.Barrier(32), []

    def use() -> None:
        start.wait()
        got.append(str(held))

    threads = [threading.Thread(target=use) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 32
    assert len(set(got)) == 1
    assert panva.token_requests("refresh_token") == 1


def test_200_uses_of_a_token_of_60_seconds_make_no_request(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    panva.control(access_ttl=60)
    sign_in(session, peer, scripted)
    held = session.token(peer.first)
    before = panva.token_requests()
    assert len({str(held) for _ in range(200)}) == 1
    assert 55 < held.expires_in <= 60
    assert panva.token_requests() == before


def test_a_revoked_sign_in_asks_the_person_and_is_not_sent_again(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in(session, peer, scripted)
    held = session.token(peer.first, interactive=False)
    panva.revoke()
    expire(session)
    for _ in range(2):
        with pytest.raises(InteractionRequired) as revoked:
            str(held)
        assert_plain(revoked.value)
    assert panva.token_requests("refresh_token") == 1


@pytest.mark.parametrize("kind", ["503", "drop", "html"])
def test_an_outage_loses_nothing(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, kind: str
) -> None:
    sign_in(session, peer, scripted)
    held = session.token(peer.first)
    valid = str(held)
    for token in session.cache.tokens.values():
        token._until = 0  # time to renew, but not at its end
    panva.fault("token", kind)
    assert str(held) == valid, "a failed refresh never loses a token that is still valid"
    expire(session)
    panva.fault("token", kind)
    with pytest.raises(AuthorityUnreachable) as down:
        str(held)
    assert_plain(down.value)
    assert str(held) != valid, "and the next one brings a fresh token"


def test_calls_authorise_themselves_and_a_401_is_answered_once(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in(session, peer, scripted)
    host = peer.api_url.split("/")[2]
    session.configure(hosts={host: [peer.first]})
    web = authorised(session)
    assert web.get(peer.api_url).json()["sub"]
    panva.fault("api", "json", status=401, body={"error": "invalid_token"})
    assert web.get(peer.api_url).status_code == 200
    assert panva.token_requests("refresh_token") == 1
    panva.fault("api", "json", times=2, status=401, body={"error": "invalid_token"})
    assert web.get(peer.api_url).status_code == 401, "once, and never a loop"
    assert panva.token_requests("refresh_token") == 2


def test_two_issuers_on_one_host_never_meet(panva: Panva, scripted: ScriptedBrowser) -> None:
    """Their addresses differ by port and path alone, which MSAL's own cache leaves out."""
    session = new_session()
    peers = [peer_of(panva, name) for name in PEERS]
    for peer in peers:
        session.login(peer.first, web_ui=scripted, **peer.settings)
    tokens = [session.token(peer.first, interactive=False, **peer.settings) for peer in peers]
    assert [token.account.username for token in tokens] == [peer.account[0] for peer in peers]
    assert len({str(token) for token in tokens}) == 2
    expire(session)
    assert len({str(token) for token in tokens}) == 2
    refreshes = [one for one in panva.requests("token") if one["grant_type"] == "refresh_token"]
    assert sorted(one["issuer"] for one in refreshes) == sorted(PEERS)
    assert {one["status"] for one in refreshes} == {200}, "no refresh token went to the other"
    session.logout(tokens[0].account)
    assert str(tokens[1])
