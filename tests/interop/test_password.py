"""Sign-in by password at both issuers: Authlib's engine, and MSAL's at a Microsoft-shaped one."""

from __future__ import annotations

import pytest

from nbauth.core.errors import FlowUnavailable, InteractionRequired, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import PEERS, Peer, assert_plain, peer_of, screen_of, until

ADA = "ada@example.org"
RIGHT = "ada-password"


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest, panva: Panva) -> Peer:
    panva.reset(storage=True)
    return peer_of(panva, request.param)


def by_password(session: Session, peer: Peer, *words: str) -> SignIn:
    """A sign-in in which the person enters these passwords, one for each question."""
    sign_in = session.login(peer.first, flow="password", background=True, login_hint=ADA)
    assert isinstance(sign_in, SignIn)
    for number, word in enumerate(words, 1):
        until(lambda number=number: getattr(sign_in.step, "attempt", 0) == number)
        sign_in.enter(ADA, word)
    return sign_in


def test_a_wrong_and_a_right_password(session: Session, peer: Peer, panva: Panva) -> None:
    account = by_password(session, peer, "wrong", RIGHT).wait(20)
    assert account.home_account_id == peer.account[3]
    assert panva.token_requests("password") == 2
    screen_of(session).there = False
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"


def test_three_wrong_passwords(session: Session, peer: Peer, panva: Panva) -> None:
    with pytest.raises(SignInError) as refused:
        by_password(session, peer, "one", "two", "three").wait(20)
    assert refused.value.code == "AADSTS50126"
    assert_plain(refused.value)
    assert panva.token_requests("password") == 3


def test_more_proof_is_demanded(session: Session, peer: Peer, panva: Panva) -> None:
    told = {"error": "invalid_grant", "error_description": "AADSTS50076: Use MFA."}
    panva.fault("token", "json", status=400, body=told)
    with pytest.raises(InteractionRequired) as demanded:
        by_password(session, peer, RIGHT).wait(20)
    assert demanded.value.suggested_flow == "browser"
    assert_plain(demanded.value)
    assert panva.token_requests("password") == 1


def test_personal_accounts_are_refused_at_microsofts_shape_only(
    session: Session, peer: Peer, panva: Panva
) -> None:
    if peer.name == "microsoft":
        with pytest.raises(FlowUnavailable):
            session.login(peer.first, flow="password", login_hint="ada@outlook.com")
        assert panva.requests() == []
    else:
        sign_in = session.login(
            peer.first, flow="password", login_hint="ada@outlook.com", background=True
        )
        assert isinstance(sign_in, SignIn)
        until(lambda: getattr(sign_in.step, "attempt", 0) == 1)
