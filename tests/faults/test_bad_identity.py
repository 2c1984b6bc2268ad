"""S3: mix-up, code injection, bad identity. Nothing is stored, and one plain error says why.

Every response arrives as from a browser: at the listener, as query and as form post.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from nbauth.core.errors import InteractionRequired, NbAuthError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.faults.conftest import Figure
from tests.faults.sizes import size
from tests.harness.panva import Panva
from tests.interop.peers import Peer, address_shown, assert_plain, device_shown
from tests.interop.scripted_browser import ScriptedBrowser

ROUNDS = size(1, 10)
MODES = size(("query",), ("query", "form_post"))
BAD_IDENTITY = {
    "iss": "id_token_issuer",
    "aud": "id_token_audience",
    "nonce": "id_token_nonce",
    "exp": "id_token_expired",
    "signature": "id_token_signature",
    "alg_none": "id_token_algorithm",
    "tid": "id_token_tenant",
}
MIXED_UP = {"response_iss": "issuer_mismatch", "response_iss_missing": "issuer_mismatch"}


@pytest.fixture
def page() -> Iterator[requests.Session]:
    """The part after the redirect."""
    with requests.Session() as browser:
        browser.trust_env = False
        yield browser


def begin(session: Session, scope: str, mode: str = "query") -> SignIn:
    sign_in = session.login(
        scope, flow="browser", background=True, extra_parameters={"response_mode": mode}
    )
    assert isinstance(sign_in, SignIn)
    return sign_in


def bring(page: requests.Session, redirect: str, mode: str) -> requests.Response:
    """Deliver the response in ``redirect`` as the provider's page would."""
    address, _, query = redirect.partition("?")
    if mode == "query":
        return page.get(redirect, timeout=10)
    return page.post(address, data=dict(parse_qsl(query)), timeout=10)


def assert_refused(session: Session, sign_in: SignIn, peer: Peer, code: str) -> None:
    """One plain error with this code, and nothing in the cache."""
    with pytest.raises(NbAuthError) as refused:
        sign_in.wait(10)
    assert refused.value.code == code
    assert_plain(refused.value)
    assert_nothing_kept(session, peer)


def assert_nothing_kept(session: Session, peer: Peer) -> None:
    assert session.accounts() == []
    assert session.cache.tokens == {}
    assert session.cache.signed_in == {}
    with pytest.raises(InteractionRequired):
        session.acquire(peer.first, interactive=False)


def test_bad_identities_and_mixed_up_responses(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    page: requests.Session,
    figure: Figure,
) -> None:
    whats = [what for what in (*BAD_IDENTITY, *MIXED_UP) if (what, peer.name) != ("tid", "oidc")]
    tried = 0
    for what in whats * ROUNDS:
        for mode in MODES:
            panva.reset()
            panva.tamper(what)
            sign_in = begin(session, peer.first, mode)
            shown = bring(page, scripted(address_shown(sign_in)), mode)
            assert_refused(session, sign_in, peer, {**BAD_IDENTITY, **MIXED_UP}[what])
            assert "Not signed in" in shown.text
            assert panva.token_requests() == (what in BAD_IDENTITY)
            tried += 1
    sign_in = begin(session, peer.first)
    bring(page, scripted(address_shown(sign_in)), "query")
    assert sign_in.wait(10).username == peer.account[0]
    given = f"{tried} sign-ins in the browser: {', '.join(whats)}"
    figure(
        "S3",
        f"bad identity, mix-up ({peer.name})",
        given,
        "0 tokens cached, a plain error each; 0 token requests where the response betrays it",
    )


def test_bad_identities_after_a_device_code(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, figure: Figure
) -> None:
    # There is no nonce (RFC 8628), and TLS authenticates the token endpoint's response
    # in place of the signature (OpenID Connect Core §3.1.3.7 item 6).
    whats = ["iss", "aud", "exp", "alg_none", *(["tid"] if peer.name == "microsoft" else [])]
    whats = size(whats[:1], whats)
    for what in whats:
        panva.reset()
        panva.tamper(what)
        sign_in = session.login(peer.first, flow="device", background=True)
        assert isinstance(sign_in, SignIn)
        scripted.approve(*device_shown(sign_in))
        assert_refused(session, sign_in, peer, BAD_IDENTITY[what])
    given = f"device code: {', '.join(whats)}"
    figure("S3", f"bad identity ({peer.name})", given, "0 tokens cached, a plain error each")


def test_the_code_of_one_sign_in_at_another(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    page: requests.Session,
    figure: Figure,
) -> None:
    for _ in range(ROUNDS):
        for mode in MODES:
            panva.reset()
            mine, other = begin(session, peer.first, mode), begin(session, peer.second, mode)
            my_address = address_shown(mine)
            asked = dict(parse_qsl(urlsplit(my_address).query))
            stolen = urlsplit(scripted(address_shown(other)))
            my_place = urlsplit(asked["redirect_uri"])

            # The other's response unchanged: it is ignored.
            redirect = stolen._replace(netloc=my_place.netloc).geturl()
            assert bring(page, redirect, mode).status_code == 404
            assert mine.state == "waiting"
            assert panva.token_requests() == 0

            # With this sign-in's state: the provider requires the other's verifier.
            answer = {**dict(parse_qsl(stolen.query)), "state": asked["state"]}
            redirect = my_place._replace(query=urlencode(answer)).geturl()
            assert "Not signed in" in bring(page, redirect, mode).text
            assert_refused(session, mine, peer, "invalid_grant")
            assert panva.token_requests() == 1
            other.cancel()
            assert_nothing_kept(session, peer)
    given = f"{ROUNDS * len(MODES)} pairs of sign-ins: the code of one at the other, 2 ways"
    figure("S3", f"code injection ({peer.name})", given, "0 tokens; 404, or refused by PKCE")


def test_the_response_of_one_issuer_at_the_other(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    page: requests.Session,
    figure: Figure,
) -> None:
    """The code would be sent to the attacker (RFC 9207 §1): our state, but another issuer."""
    theirs = panva.issuer if peer.name == "microsoft" else panva.ms_issuer
    for mode in MODES * ROUNDS:
        panva.reset()
        sign_in = begin(session, peer.first, mode)
        ended = urlsplit(scripted(address_shown(sign_in)))
        answer = {**dict(parse_qsl(ended.query)), "iss": theirs}
        bring(page, ended._replace(query=urlencode(answer)).geturl(), mode)
        assert_refused(session, sign_in, peer, "issuer_mismatch")
        assert panva.token_requests() == 0
    given = f"{len(MODES) * ROUNDS} answers that name the other issuer"
    figure("S3", f"mix-up ({peer.name})", given, "0 tokens cached, 0 token requests")
