"""Two issuers on one host, in one session, stay separate."""

from __future__ import annotations

import pytest
import requests

from nbauth.core.errors import ConfigurationError, InteractionRequired
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import Peer, new_session, peer_of
from tests.interop.scripted_browser import ScriptedBrowser


@pytest.fixture
def both(panva: Panva) -> tuple[Session, Peer, Peer]:
    """One session; ada is signed in at both issuers, with the same client_id and host."""
    session = new_session()
    plain, microsoft = peer_of(panva, "oidc"), peer_of(panva, "microsoft")
    for peer in (plain, microsoft):
        session.login(peer.first, web_ui=ScriptedBrowser(panva.ca_file), **peer.settings)
    return session, plain, microsoft


def by_issuer(panva: Panva, endpoint: str) -> dict[str, list[int]]:
    seen: dict[str, list[int]] = {}
    for one in panva.requests(endpoint):
        seen.setdefault(one["issuer"], []).append(one["status"])
    return seen


def test_each_has_its_own_account_and_token(both: tuple[Session, Peer, Peer], panva: Panva) -> None:
    session, *peers = both
    assert {account.authority for account in session.accounts()} == {
        peer.settings["authority"] for peer in peers
    }
    results = [session.acquire(peer.first, **peer.settings) for peer in peers]
    assert results[0].access_token != results[1].access_token
    for peer, result in zip(peers, results, strict=True):
        assert result.source == "cache"
        assert result.account.home_account_id == peer.account[3]
        assert result.id_token_claims["iss"] == peer.issuer
        for at in peers:
            answer = requests.get(
                at.api_url,
                headers={"Authorization": f"Bearer {result.access_token}"},
                verify=panva.ca_file,
                timeout=5,
            )
            assert answer.status_code == (200 if at is peer else 401)


def test_refresh_tokens_are_sent_to_their_issuer_only(
    both: tuple[Session, Peer, Peer], panva: Panva
) -> None:
    session, plain, microsoft = both
    for _ in range(2):
        for peer in (plain, microsoft):
            result = session.acquire(peer.first, force_refresh=True, **peer.settings)
            assert result.account.home_account_id == peer.account[3]
    # For a token of the other issuer the provider would return HTTP 400.
    assert by_issuer(panva, "token") == {"oidc": [200] * 3, "microsoft": [200] * 3}


def test_an_account_of_one_issuer_is_unknown_at_the_other(both: tuple[Session, Peer, Peer]) -> None:
    session, plain, microsoft = both
    for peer, other in ((plain, microsoft), (microsoft, plain)):
        with pytest.raises(InteractionRequired):
            session.acquire(
                peer.first, account=other.account[3], interactive=False, **peer.settings
            )
    # ada's user name at one is her e-mail address at the other: it means the one's own account.
    named = session.acquire(plain.first, account=microsoft.account[0], **plain.settings)
    assert named.account.home_account_id == plain.account[3]
    theirs = session.acquire(plain.first, **plain.settings).account
    with pytest.raises(ConfigurationError) as caught:
        session.acquire(microsoft.first, account=theirs, interactive=False, **microsoft.settings)
    assert caught.value.code == "other_client"


def test_signing_out_at_one_issuer_does_not_affect_the_other(
    both: tuple[Session, Peer, Peer], panva: Panva
) -> None:
    session, plain, microsoft = both
    (gone,) = [record.account for record in session.logout(plain.account[0], revoke=True)]
    assert gone.authority == panva.issuer
    assert by_issuer(panva, "revocation") == {"oidc": [200]}
    assert [account.authority for account in session.accounts()] == [panva.ms_authority]
    assert session.acquire(microsoft.first, force_refresh=True, **microsoft.settings)
    with pytest.raises(InteractionRequired):
        session.acquire(plain.first, interactive=False, **plain.settings)


def test_signing_out_of_both_with_another_one_configured(
    both: tuple[Session, Peer, Peer], panva: Panva
) -> None:
    """Each token is revoked at its issuer, whatever the current settings are."""
    session, _, microsoft = both
    session.configure(**microsoft.settings)
    assert len(session.logout(all=True, revoke=True)) == 2
    assert session.cache.tokens == {}
    assert by_issuer(panva, "revocation") == {"oidc": [200]}
