"""Sign-in by device code at a real provider, with the code entered in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from nbauth.core.account import Account
from nbauth.core.errors import (
    AuthorityUnreachable,
    InteractionRequired,
    SignInCancelled,
    SignInDeclined,
    SignInExpired,
)
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import DEVICE_GRANT, Panva
from tests.harness.person import Person
from tests.interop.peers import (
    PEERS,
    Peer,
    assert_plain,
    device_shown,
    new_session,
    our_threads,
    peer_of,
    screen_of,
    until,
)
from tests.interop.scripted_browser import ScriptedBrowser


def begin(session: Session, *scopes: str, **options: object) -> SignIn:
    sign_in = session.login(*scopes, flow="device", background=True, **options)
    assert isinstance(sign_in, SignIn)
    return sign_in


@pytest.mark.browser
def test_a_person_signs_in(
    session: Session, peer: Peer, panva: Panva, browser_context: BrowserContext, person: Person
) -> None:
    sign_in = begin(session, peer.first)
    address, code = device_shown(sign_in)
    assert code in sign_in.message
    assert address in sign_in.message
    assert 590 < (sign_in.expires_in or 0) <= 600
    assert screen_of(session).shown == [sign_in]
    person.approve_device(browser_context, address, code)
    account = sign_in.wait(10)
    assert isinstance(account, Account)
    assert (
        account.username,
        account.name,
        account.tenant_id,
        account.home_account_id,
    ) == peer.account
    assert account.authority == peer.settings["authority"]
    assert (sign_in.state, sign_in.account, sign_in.user_code) == ("done", account, None)
    assert session.accounts() == [account]
    asked = panva.token_requests()
    result = session.acquire(peer.first)
    assert (result.source, result.account) == ("cache", account)
    assert any(scope.endswith(peer.first) for scope in result.scopes)
    assert result.tenant_id == peer.account[2]
    assert result.id_token_claims["iss"] == peer.issuer
    assert result.unique_id in (panva.object_id(), "ada")
    assert 3500 < result.expires_on - time.time() <= 3600
    assert session.login(peer.first) == account
    assert panva.token_requests() == asked  # both from the cache
    assert "Already signed in" in screen_of(session).said[0]


def test_a_second_call_joins(session: Session, peer: Peer, scripted: ScriptedBrowser) -> None:
    first, second = begin(session, peer.first), begin(session, peer.first)
    assert second is first
    other = begin(session, peer.second)
    assert other is not first
    other.cancel()
    scripted.approve(*device_shown(first))
    assert first.wait(10) == session.acquire(peer.first).account
    assert screen_of(session).shown == [first, other]


def polls_at_both(
    panva: Panva, faults: Callable[[str], None], number: int
) -> dict[str, list[dict[str, Any]]]:
    """Sign in at both issuers at once, with faults in the first polls; return all polls."""
    attempts = {}
    for name in PEERS:
        peer = peer_of(panva, name)
        faults(name)
        attempts[name] = begin(new_session(**peer.settings), peer.first)
    shown = {name: device_shown(sign_in) for name, sign_in in attempts.items()}

    def polls(name: str) -> list[dict[str, Any]]:
        return [one for one in panva.requests("token") if one["issuer"] == name]

    until(lambda: all(len(polls(name)) >= number for name in PEERS), 30)
    for name, sign_in in attempts.items():
        assert sign_in.state == "waiting"
        ScriptedBrowser(panva.ca_file).approve(*shown[name])
    for name, sign_in in attempts.items():
        assert sign_in.wait(30).username == peer_of(panva, name).account[0]
    assert all(one["grant_type"] == DEVICE_GRANT for one in panva.requests("token"))
    return {name: polls(name) for name in PEERS}


def assert_gaps(polls: list[dict[str, Any]], expected: list[float]) -> None:
    """On a busy machine a poll may be late, but never early."""
    gaps = [later["time"] - one["time"] for one, later in pairwise(polls)]
    assert len(gaps) == len(expected)
    for gap, seconds in zip(gaps, expected, strict=True):
        assert seconds - 0.2 <= gap <= seconds + 2, gaps


def test_errors_while_polling_do_not_end_the_sign_in(panva: Panva) -> None:
    def faults(issuer: str) -> None:
        for kind in ("503", "drop", "html"):
            panva.fault("token", kind, issuer=issuer)

    for polls in polls_at_both(panva, faults, 3).values():
        assert [one["fault"] for one in polls] == ["503", "drop", "html", None]
        # Less and less often while errors last (RFC 8628 §3.5).
        assert_gaps(polls, [2, 4, 8])


def test_slow_down_and_429_reduce_polling(panva: Panva) -> None:
    def faults(issuer: str) -> None:
        retry = {"Retry-After": "1"}
        panva.fault("token", "json", issuer=issuer, status=429, body={}, headers=retry)
        panva.fault("token", "slow_down", issuer=issuer)

    for polls in polls_at_both(panva, faults, 2).values():
        # After 429 the interval doubles to two seconds; slow_down adds five.
        assert_gaps(polls, [2, 6])


def test_an_interval_of_zero_is_one_second(session: Session, peer: Peer, panva: Panva) -> None:
    panva.control(device_interval=0)
    sign_in = begin(session, peer.first)
    device_shown(sign_in)
    time.sleep(2.5)
    assert 1 <= panva.token_requests(DEVICE_GRANT) <= 2
    sign_in.cancel()


def test_without_an_interval_it_is_five_seconds(session: Session, peer: Peer, panva: Panva) -> None:
    panva.without_interval()
    sign_in = begin(session, peer.first)
    device_shown(sign_in)
    time.sleep(2)
    assert panva.token_requests() == 0
    sign_in.cancel()


def test_an_unused_code_expires(session: Session, peer: Peer, panva: Panva) -> None:
    panva.control(device_ttl=2)
    sign_in = begin(session, peer.first)
    device_shown(sign_in)
    with pytest.raises(SignInExpired) as expired:
        sign_in.wait(10)
    assert_plain(expired.value)
    assert sign_in.state == "failed"
    assert session.accounts() == []
    until(lambda: not our_threads(), 1)


@pytest.mark.timing
def test_the_timeout_setting(session: Session, peer: Peer) -> None:
    sign_in = begin(session, peer.first, timeout=0.5)
    began = time.monotonic()
    with pytest.raises(SignInExpired) as expired:
        sign_in.wait(10)
    assert time.monotonic() - began < 1.5
    assert_plain(expired.value)


@pytest.mark.browser
def test_a_person_declines(
    session: Session, peer: Peer, browser_context: BrowserContext, person: Person
) -> None:
    sign_in = begin(session, peer.first)
    person.decline_device(browser_context, *device_shown(sign_in))
    with pytest.raises(SignInDeclined) as declined:
        sign_in.wait(10)
    assert_plain(declined.value)
    assert (sign_in.state, sign_in.error) == ("failed", declined.value)
    assert session.accounts() == []
    with pytest.raises(InteractionRequired):
        session.acquire(peer.first, interactive=False)


@pytest.mark.timing
def test_cancel_during_a_hanging_poll(session: Session, peer: Peer, panva: Panva) -> None:
    sign_in = begin(session, peer.first)
    device_shown(sign_in)
    panva.fault("token", "hang")
    until(lambda: panva.token_requests() == 1)
    began = time.monotonic()
    sign_in.cancel()
    with pytest.raises(SignInCancelled) as cancelled:
        sign_in.wait(5)
    until(lambda: not our_threads(), 5)
    assert time.monotonic() - began < 1
    assert_plain(cancelled.value)
    assert session.accounts() == []
    # The next sign-in works.
    again = begin(session, peer.first)
    assert again is not sign_in
    device_shown(again)
    again.cancel()


@pytest.mark.timing
def test_cancel_between_two_polls(session: Session, peer: Peer, panva: Panva) -> None:
    panva.control(device_interval=60)
    sign_in = begin(session, peer.first)
    device_shown(sign_in)
    began = time.monotonic()
    sign_in.cancel()
    until(lambda: not our_threads(), 5)
    assert time.monotonic() - began < 1
    assert sign_in.state == "cancelled"


def test_the_device_request_itself_fails(session: Session, peer: Peer, panva: Panva) -> None:
    panva.fault("device_authorization", "503")
    sign_in = begin(session, peer.first)
    with pytest.raises(AuthorityUnreachable) as down:
        sign_in.wait(5)
    assert_plain(down.value)
    device_shown(again := begin(session, peer.first))
    again.cancel()


def test_more_scopes_later(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in = begin(session, peer.first)
    scripted.approve(*device_shown(sign_in))
    account = sign_in.wait(10)
    before = session.acquire(peer.first)
    with pytest.raises(InteractionRequired) as needed:
        session.acquire(peer.second, interactive=False)
    assert needed.value.code == "consent_required"
    assert_plain(needed.value)
    assert str(session.token(peer.first, interactive=False)) == str(before.access_token)

    more = begin(session, peer.second)
    scripted.approve(*device_shown(more))
    assert more.wait(10) == account
    assert session.accounts() == [account]
    second = session.acquire(peer.second)
    assert second.source == "cache"
    assert any(scope.endswith(peer.second) for scope in second.scopes)
    asked = [one["scope"] for one in panva.requests("device_authorization")]
    assert peer.second not in asked[0]
    assert peer.second in asked[1]
    first = session.acquire(peer.first, interactive=False)
    assert (first.source, first.access_token) == ("cache", before.access_token)
    # Both can still be refreshed.
    assert session.acquire(peer.first, force_refresh=True, interactive=False).source == "refresh"
    assert session.acquire(peer.second, force_refresh=True, interactive=False).source == "refresh"
    assert session.acquire(peer.first, force_refresh=True, interactive=False).source == "refresh"
