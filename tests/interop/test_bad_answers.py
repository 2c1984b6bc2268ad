"""Wrong identities and mixed-up responses: nothing is stored, and one plain error is raised."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from nbauth.core.errors import ConfigurationError, InteractionRequired, NbAuthError, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import PEERS, Peer, address_shown, assert_plain, device_shown
from tests.interop.scripted_browser import ScriptedBrowser


def assert_nothing_kept(session: Session, peer: Peer) -> None:
    assert session.accounts() == []
    assert session.cache.tokens == {}
    assert session.cache.signed_in == {}
    with pytest.raises(InteractionRequired):
        session.acquire(peer.first, interactive=False)


WRONG = {
    "iss": "id_token_issuer",
    "aud": "id_token_audience",
    "nonce": "id_token_nonce",
    "exp": "id_token_expired",
    "signature": "id_token_signature",
    "alg_none": "id_token_algorithm",
    "tid": "id_token_tenant",
    "response_iss": "issuer_mismatch",
    "response_iss_missing": "issuer_mismatch",
}


def at_both(whats: Iterable[str]) -> pytest.MarkDecorator:
    """Each case at each issuer; only Microsoft's issuer has tenants."""
    pairs = [(what, peer) for what in whats for peer in PEERS if (what, peer) != ("tid", "oidc")]
    return pytest.mark.parametrize(("what", "peer"), pairs, indirect=["peer"])


@at_both(WRONG)
def test_after_the_browser(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, what: str
) -> None:
    panva.tamper(what)
    with pytest.raises(SignInError) as refused:
        session.login(peer.first, web_ui=scripted)
    assert refused.value.code == WRONG[what]
    assert_plain(refused.value)
    assert_nothing_kept(session, peer)
    assert session.login(peer.first, web_ui=scripted)  # the provider's fault is over


@at_both(["iss", "aud", "exp", "alg_none", "tid"])
def test_after_a_device_code(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, what: str
) -> None:
    panva.tamper(what)
    sign_in = session.login(peer.first, flow="device", background=True)
    assert isinstance(sign_in, SignIn)
    scripted.approve(*device_shown(sign_in))
    with pytest.raises(SignInError) as refused:
        sign_in.wait(10)
    assert refused.value.code == WRONG[what]
    assert_plain(refused.value)
    assert_nothing_kept(session, peer)


def test_the_code_of_one_sign_in_at_another(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    mine = session.login(peer.first, flow="browser", background=True)
    other = session.login(peer.second, flow="browser", background=True)
    assert isinstance(mine, SignIn)
    assert isinstance(other, SignIn)
    address = address_shown(mine)
    stolen = scripted(address_shown(other))
    with pytest.raises(ConfigurationError) as refused:
        mine.submit(stolen)
    assert refused.value.code == "state_mismatch"
    assert_plain(refused.value)
    assert mine.state == "waiting"
    assert panva.token_requests() == 0

    # The state and the receiver are right, but the verifier is another.
    answer = dict(parse_qsl(urlsplit(stolen).query))
    answer["state"] = dict(parse_qsl(urlsplit(address).query))["state"]
    mine.submit("?" + urlencode(answer))
    with pytest.raises(NbAuthError) as injected:
        mine.wait(10)
    assert injected.value.code == "invalid_grant"
    assert_plain(injected.value)
    other.cancel()
    assert_nothing_kept(session, peer)


def test_the_response_of_one_issuer_at_the_other(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    """A mix-up attack, which would send the code to the attacker (RFC 9207 §1)."""
    theirs = panva.issuer if peer.name == "microsoft" else panva.ms_issuer

    def mixed_up(authorize_url: str) -> str:
        ended = urlsplit(scripted(authorize_url))
        answer = {**dict(parse_qsl(ended.query)), "iss": theirs}
        return ended._replace(query=urlencode(answer)).geturl()

    with pytest.raises(SignInError) as refused:
        session.login(peer.first, web_ui=mixed_up)
    assert refused.value.code == "issuer_mismatch"
    assert panva.token_requests() == 0
    assert_nothing_kept(session, peer)


@pytest.mark.parametrize("ended", ["", "http://localhost/", "nonsense of a text", "?code=", "%%%"])
def test_a_web_ui_that_returns_no_response(
    session: Session, peer: Peer, panva: Panva, ended: str
) -> None:
    with pytest.raises(NbAuthError) as refused:
        session.login(peer.first, web_ui=lambda _: ended)
    assert_plain(refused.value)
    assert_nothing_kept(session, peer)


def test_a_web_ui_that_raises(session: Session, peer: Peer) -> None:
    def web_ui(_: str) -> str:
        raise ZeroDivisionError("secret-of-mine")

    with pytest.raises(SignInError) as broken:
        session.login(peer.first, web_ui=web_ui)
    assert broken.value.code == "web_ui_failed"
    assert_plain(broken.value)
    assert "secret-of-mine" not in " ".join(broken.value.lines())
    assert_nothing_kept(session, peer)
