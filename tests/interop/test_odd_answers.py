"""The real provider with responses in the forms of other providers: sign-ins succeed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import Peer, assert_plain, device_shown, new_session, peer_of, screen_of
from tests.interop.scripted_browser import ScriptedBrowser

HEADERS = {"x5c": ["MIIB" + "A" * 2000], "pi.atm": "1", "typ": None}
GROUPS = [f"{number:08x}-0000-0000-0000-00000000beef" for number in range(700)]  # 31 kB


@pytest.fixture(params=["browser", "device"])
def flow(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sign_in(session: Session, peer: Peer, scripted: ScriptedBrowser, flow: str) -> Any:
    if flow == "browser":
        return session.login(peer.first, web_ui=scripted)
    begun = session.login(peer.first, flow="device", background=True)
    assert isinstance(begun, SignIn)
    scripted.approve(*device_shown(begun))
    return begun.wait(10)


@pytest.mark.parametrize(
    "claims",
    [{"azp": None, "groups": GROUPS}, {"aud": ["notebooks", "another"], "azp": "notebooks"}],
    ids=["groups", "audiences"],
)
def test_unusual_id_tokens(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    flow: str,
    claims: dict[str, Any],
) -> None:
    panva.odd_id_token(claims, HEADERS)
    account = sign_in(session, peer, scripted, flow)
    assert account.home_account_id == peer.account[3]
    assert session.acquire(peer.first, interactive=False).id_token_claims["sub"] == "ada" or (
        peer.name == "microsoft"
    )


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_an_id_token_from_the_future(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, flow: str, name: str
) -> None:
    panva.odd_id_token({name: int(time.time()) + 3600})
    with pytest.raises(SignInError) as refused:
        sign_in(session, peer, scripted, flow)
    assert refused.value.code == "id_token_not_yet"
    assert_plain(refused.value)
    assert session.accounts() == []


@pytest.mark.parametrize(
    "claims", [{"exp": 1_000_000_000, "iat": 999_999_000}, None], ids=["yesterday's", "none"]
)
def test_a_refresh_with_an_old_or_no_id_token(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, claims: Any
) -> None:
    account = session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    for _ in range(3):
        panva.odd_id_token(claims)
        renewed = session.acquire(peer.first, force_refresh=True)
        assert renewed.source == "refresh"
        assert renewed.account == account
        assert renewed.id_token_claims["exp"] > time.time()  # of the sign-in
    assert panva.token_requests("refresh_token") == 3


def test_an_unusual_token_response(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, flow: str
) -> None:
    odd = {"error": None, "error_description": None, "expires_in": None, "scope": None}
    panva.control(token_answer={**odd, "refresh_in": "soon", "correlation_id": 5})
    sign_in(session, peer, scripted, flow)
    for _ in range(2):
        result = session.acquire(peer.first, force_refresh=True)
        assert result.source == "refresh"
        assert 3500 < result.expires_on - time.time() <= 3600


def test_an_unusual_device_response(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    page = f"{peer.issuer}/device"
    odd = {"verification_uri": None, "verification_url": page, "expires_in": "300"}
    panva.control(device_answer={**odd, "verification_uri_complete": None, "interval": 1})
    assert sign_in(session, peer, scripted, "device").home_account_id == peer.account[3]


def test_a_device_response_with_an_invalid_address(
    session: Session, peer: Peer, panva: Panva
) -> None:
    panva.control(device_answer={"verification_uri": "http://id.example/device"})
    with pytest.raises(SignInError) as refused:
        session.login(peer.first, flow="device")
    assert refused.value.code in {"device_answer", "no_way"}
    assert "verification_uri" in str(refused.value)


def test_polling_errors_in_another_spelling(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    for body in ({"error": "AUTHORIZATION_PENDING"}, {"message": "authorization_pending"}):
        panva.fault("token", "json", status=400, body=body)
    assert sign_in(session, peer, scripted, "device")
    assert panva.token_requests() == 3


def test_an_empty_error_does_not_break_the_next_request(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    session.login(peer.first, web_ui=scripted)
    screen_of(session).there = False
    for odd in ({"error": None}, {"error": {"code": 5}}, {"error": "\u65e5\u672c\n"}, [5]):
        panva.fault("token", "json", status=403, body=odd)  # 400 would end the grant
        with pytest.raises(NbAuthError) as refused:
            session.acquire(peer.first, force_refresh=True)
        assert_plain(refused.value)
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"


# ── account identity ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def plain_session(panva: Panva) -> Any:
    peer = peer_of(panva, "oidc")
    return peer, new_session(**peer.settings)


def test_without_an_id_token_userinfo_identifies_the_account(
    plain_session: Any, panva: Panva, scripted: ScriptedBrowser, flow: str
) -> None:
    peer, session = plain_session
    panva.odd_id_token(None, times=9)
    account = sign_in(session, peer, scripted, flow)
    assert (account.username, account.name, account.home_account_id) == (
        "ada",
        "Ada Lovelace",
        "ada",
    )
    renewed = session.acquire(peer.first, force_refresh=True)
    assert (renewed.source, renewed.account, renewed.id_token) == ("refresh", account, None)


def test_two_people_without_an_id_token_are_two_accounts(
    plain_session: Any, panva: Panva, scripted: ScriptedBrowser
) -> None:
    peer, session = plain_session
    panva.odd_id_token(None, times=9)
    for number, login in ((583231, "octocat"), (583232, "hubot")):
        panva.fault("userinfo", "json", status=200, body={"id": number, "login": login})
        assert session.login(peer.first, web_ui=scripted).username == login
    assert {one.home_account_id for one in session.accounts()} == {"583231", "583232"}


@pytest.mark.parametrize("fault", ["html", "503", "drop", "401", "jwt", "nobody"])
def test_a_sign_in_without_identity_is_rejected(
    plain_session: Any, panva: Panva, scripted: ScriptedBrowser, flow: str, fault: str
) -> None:
    peer, session = plain_session
    panva.odd_id_token(None)
    if fault in {"jwt", "nobody"}:
        body: Any = "eyJh.eyJz.AAAA" if fault == "jwt" else {"name": "Ada"}
        panva.fault("userinfo", "json", status=200, body=body)
    else:
        panva.fault("userinfo", fault)
    with pytest.raises(SignInError) as refused:
        sign_in(session, peer, scripted, flow)
    assert refused.value.code == "no_identity"
    assert_plain(refused.value)
    assert session.accounts() == []
    assert session.cache.tokens == {}
    assert sign_in(session, peer, scripted, flow).username == "ada"


@pytest.mark.parametrize("fault", ["html", "503", "drop", "401", "somebody"])
def test_a_failing_userinfo_endpoint_only_loses_the_names(
    plain_session: Any, panva: Panva, scripted: ScriptedBrowser, fault: str
) -> None:
    peer, session = plain_session
    panva.odd_id_token({"preferred_username": None, "email": None, "name": None})
    if fault == "somebody":
        panva.fault("userinfo", "json", status=200, body={"sub": "eve", "name": "Eve"})
    else:
        panva.fault("userinfo", fault)
    account = session.login(peer.first, web_ui=scripted)
    assert (account.username, account.name, account.home_account_id) == ("ada", "", "ada")
