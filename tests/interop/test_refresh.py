"""Refresh: rotation, expiry, revocation, outages, claims."""

from __future__ import annotations

import json
import threading
import time

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConsentRequired,
    InteractionRequired,
    NotSignedIn,
    SignInError,
)
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import Peer, assert_plain, device_shown, screen_of, until
from tests.interop.scripted_browser import ScriptedBrowser


@pytest.fixture
def signed_in(session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser) -> Session:
    """Signed in, with no user present from now on."""
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    return session


def refreshes(panva: Panva) -> int:
    return panva.token_requests("refresh_token")


def test_three_rounds_of_expiry_with_rotation(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    panva.control(access_ttl=2)
    session.login(peer.first, web_ui=scripted)
    token = session.token(peer.first)
    seen = {str(token)}
    for number in range(1, 4):
        time.sleep(1.65)  # more than four fifths of its lifetime
        seen.add(str(token))
        assert refreshes(panva) == number
        seen.add(str(token))
        assert refreshes(panva) == number  # and then it is cached
    assert len(seen) == 4
    assert [one["status"] for one in panva.requests("token")] == [200] * 4


def test_many_readers_make_one_refresh(signed_in: Session, peer: Peer, panva: Panva) -> None:
    results: list[AuthenticationResult] = []
    ready = threading.Barrier(16)

    def read() -> None:
        ready.wait()
        results.append(signed_in.acquire(peer.first, force_refresh=True))

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(results) == 16
    assert len({str(result.access_token) for result in results}) == refreshes(panva)
    assert all(one["status"] == 200 for one in panva.requests("token"))
    assert signed_in.acquire(peer.first, force_refresh=True).source == "refresh"


def test_a_revoked_sign_in_is_detected_with_one_request(
    signed_in: Session, peer: Peer, panva: Panva
) -> None:
    token = signed_in.token(peer.first)
    assert panva.revoke() >= 1
    with pytest.raises(InteractionRequired) as dead:
        signed_in.acquire(peer.first, force_refresh=True)
    assert_plain(dead.value)
    for _ in range(5):
        with pytest.raises(InteractionRequired) as still_dead:
            signed_in.acquire(peer.first, force_refresh=True)
        assert_plain(still_dead.value)
    assert refreshes(panva) == 1
    assert str(token)  # a token that has not expired is served


def test_a_revoked_sign_in_starts_a_sign_in_if_a_user_is_present(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    account = session.login(peer.first, web_ui=scripted)
    session.configure(flow="device")
    panva.revoke()
    results: list[AuthenticationResult] = []
    thread = threading.Thread(
        target=lambda: results.append(session.acquire(peer.first, force_refresh=True))
    )
    thread.start()
    until(lambda: screen_of(session).shown)
    (sign_in,) = screen_of(session).shown
    scripted.approve(*device_shown(sign_in))
    thread.join(10)
    assert [(result.source, result.account) for result in results] == [("flow", account)]


def test_scopes_without_consent(signed_in: Session, peer: Peer, panva: Panva) -> None:
    before = signed_in.acquire(peer.first)
    for _ in range(2):
        with pytest.raises(ConsentRequired) as consent:
            signed_in.acquire(peer.second, interactive=False)
        assert_plain(consent.value)
        assert peer.second in consent.value.lines()[0]
    assert signed_in.acquire(peer.first).access_token == before.access_token
    assert signed_in.acquire(peer.first, force_refresh=True).source == "refresh"


@pytest.mark.parametrize("kind", ["503", "drop", "html", "429"])
def test_an_outage_does_not_end_the_sign_in(
    signed_in: Session, peer: Peer, panva: Panva, kind: str
) -> None:
    panva.fault("token", kind)
    with pytest.raises(AuthorityUnreachable) as down:
        signed_in.acquire(peer.first, force_refresh=True)
    assert_plain(down.value)
    assert signed_in.acquire(peer.first).source == "cache"
    assert signed_in.acquire(peer.first, force_refresh=True).source == "refresh"


def test_a_valid_token_is_served_while_the_provider_is_down(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    panva.control(access_ttl=5)
    session.login(peer.first, web_ui=scripted)
    first = session.acquire(peer.first)
    panva.fault("token", "503", times=50)
    time.sleep(4.1)  # four fifths of its lifetime are over
    for _ in range(20):
        result = session.acquire(peer.first, interactive=False)
        assert (result.source, result.access_token) == ("cache", first.access_token)
    assert 1 <= refreshes(panva) <= 3
    time.sleep(1.2)
    with pytest.raises(AuthorityUnreachable):
        session.acquire(peer.first, interactive=False)
    panva.reset()
    assert session.acquire(peer.first, interactive=False).source == "refresh"


def test_claims_request_a_new_token(signed_in: Session, peer: Peer, panva: Panva) -> None:
    claims = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    before = signed_in.acquire(peer.first)
    result = signed_in.acquire(peer.first, claims=claims)
    assert result.source == "refresh"
    assert result.access_token != before.access_token
    last = panva.requests("token")[-1]
    assert json.loads(last["params"]["claims"]) == json.loads(claims)
    assert signed_in.acquire(peer.first).access_token == result.access_token


@pytest.mark.parametrize("what", ["iss", "aud", "sub", "alg_none"])
def test_a_refresh_with_another_identity(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, what: str
) -> None:
    """OpenID Connect Core §12.2: issuer, audience and subject must be the same."""
    scopes = (
        () if peer.name == "oidc" else (peer.first,)
    )  # the default scope openid gives ID tokens
    session.login(*scopes, web_ui=scripted)
    before = session.acquire(*scopes)
    panva.tamper(what)
    with pytest.raises(SignInError) as refused:
        session.acquire(*scopes, force_refresh=True)
    assert refused.value.code.startswith("id_token_")
    assert_plain(refused.value)
    assert session.acquire(*scopes).access_token == before.access_token


def test_signing_out(signed_in: Session, peer: Peer, panva: Panva) -> None:
    token = signed_in.token(peer.first)
    text = str(token)
    (gone,) = [record.account for record in signed_in.logout(revoke=True)]
    assert gone.username == peer.account[0]
    assert signed_in.accounts() == []
    assert signed_in.cache.tokens == {}
    with pytest.raises((NotSignedIn, InteractionRequired)):
        str(token)
    revocations = panva.requests("revocation")
    if peer.name == "oidc":
        assert [one["status"] for one in revocations] == [200]
        assert screen_of(signed_in).said == []
    else:
        assert revocations == []
        (said,) = screen_of(signed_in).said
        assert "revocation" in said
        assert text not in said
