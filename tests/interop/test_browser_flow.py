"""Sign-in by browser, against a real provider: the browser really comes back to our listener."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import BrowserContext

from nbauth.core.errors import NbAuthError, SignInDeclined, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in import SignIn
from tests.harness.panva import Panva
from tests.harness.person import Person
from tests.interop.peers import Peer, address_shown, assert_plain, new_session, our_threads, until
from tests.interop.scripted_browser import ScriptedBrowser

SCREENSHOTS = Path(__file__).parents[2] / "test-results" / "screenshots"


def begin(session: Session, *scopes: str, **options: object) -> tuple[SignIn, str]:
    sign_in = session.login(*scopes, flow="browser", background=True, **options)
    assert isinstance(sign_in, SignIn)
    return sign_in, address_shown(sign_in)


def follow(redirect: str) -> requests.Response:
    """Come back as a browser would that was sent there by a query."""
    with requests.Session() as web:
        web.trust_env = False
        return web.get(redirect, timeout=10)


@pytest.mark.browser
def test_a_person_signs_in_and_comes_back(
    session: Session, peer: Peer, panva: Panva, browser_context: BrowserContext, person: Person
) -> None:
    sign_in, address = begin(session, peer.first)
    sent = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert sent["code_challenge_method"] == "S256"
    redirect = urlsplit(sent["redirect_uri"])
    assert redirect.hostname in {"localhost", "127.0.0.1"}
    page = browser_context.new_page()
    page.goto(address)
    person.sign_in(page)
    account = sign_in.wait(10)
    page.get_by_text("You are signed in").wait_for()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"came-back-{peer.name}.png")
    assert (
        account.username,
        account.name,
        account.tenant_id,
        account.home_account_id,
    ) == peer.account
    assert panva.token_requests() == 1
    until(lambda: not our_threads(), 1.5)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", redirect.port or 0), timeout=1)


@pytest.mark.browser
def test_a_person_declines(
    session: Session, peer: Peer, browser_context: BrowserContext, person: Person
) -> None:
    sign_in, address = begin(session, peer.first)
    page = browser_context.new_page()
    page.goto(address)
    person.decline(page)
    with pytest.raises(SignInDeclined) as declined:
        sign_in.wait(10)
    assert_plain(declined.value)
    page.get_by_text("Not signed in").wait_for()
    assert session.accounts() == []


def test_the_page_is_final_only_after_the_code_is_redeemed(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in, address = begin(session, peer.first)
    redirect = scripted(address)
    panva.fault("token", "503")
    page = follow(redirect)
    with pytest.raises(NbAuthError):
        sign_in.wait(10)
    assert "Not signed in" in page.text
    assert "You are signed in" not in page.text
    assert session.accounts() == []


def test_stray_and_forged_answers_are_ignored_and_the_genuine_one_counts(
    session: Session, peer: Peer, scripted: ScriptedBrowser
) -> None:
    sign_in, address = begin(session, peer.first)
    redirect = scripted(address)
    base = redirect.partition("?")[0]
    for forged in ("", "?code=x", "?code=x&state=wrong", "?error=access_denied", "favicon.ico"):
        assert follow(base.rstrip("/") + "/" + forged).status_code == 404
    assert sign_in.state == "waiting"
    assert "You are signed in" in follow(redirect).text
    assert sign_in.wait(10).username == peer.account[0]


def test_one_answer_delivered_twenty_times_is_redeemed_once(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    sign_in, address = begin(session, peer.first)
    redirect = scripted(address)
    pages: list[str] = []

    def deliver() -> None:
        try:
            pages.append(follow(redirect).text)
        except requests.ConnectionError:
            pages.append("closed")

    threads = [threading.Thread(target=deliver) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sign_in.wait(10)
    assert panva.token_requests() == 1
    assert any("You are signed in" in page for page in pages)


@pytest.mark.parametrize("what", ["response_iss", "response_iss_missing"])
def test_an_answer_of_another_issuer_is_not_used(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, what: str
) -> None:
    sign_in, address = begin(session, peer.first)
    panva.tamper(what)
    follow(scripted(address))
    with pytest.raises(SignInError) as mixed_up:
        sign_in.wait(10)
    assert mixed_up.value.code == "issuer_mismatch"
    assert_plain(mixed_up.value)
    assert panva.token_requests() == 0, "nothing was sent anywhere"
    assert session.accounts() == []


@pytest.mark.parametrize("what", ["iss", "aud", "nonce", "exp", "sub", "signature", "alg_none"])
def test_a_bad_identity_is_not_kept(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, what: str
) -> None:
    sign_in, address = begin(session, peer.first)
    redirect = scripted(address)
    panva.tamper(what)
    page = follow(redirect)
    if what == "sub" and sign_in.error is None:
        # another subject, well signed, is another person: what must not be is a mix of two
        assert sign_in.wait(10).home_account_id
        return
    with pytest.raises(SignInError) as refused:
        sign_in.wait(10)
    assert refused.value.code.startswith("id_token_")
    assert_plain(refused.value)
    assert "Not signed in" in page.text
    assert session.accounts() == []
    assert session.cache.tokens == {}


def test_the_code_of_one_sign_in_is_of_no_use_to_another(
    peer: Peer, panva: Panva, scripted: ScriptedBrowser
) -> None:
    mine, theirs = new_session(**peer.settings), new_session(**peer.settings)
    my_sign_in, my_address = begin(mine, peer.first)
    their_sign_in, their_address = begin(theirs, peer.first)
    their_code = parse_qs(urlsplit(scripted(their_address)).query)["code"][0]
    mine_redirect = scripted(my_address)
    my_code = parse_qs(urlsplit(mine_redirect).query)["code"][0]
    follow(mine_redirect.replace(my_code, their_code))
    with pytest.raises(NbAuthError) as refused:
        my_sign_in.wait(10)
    assert_plain(refused.value)
    assert mine.cache.tokens == {}
    their_sign_in.cancel()
    assert panva.token_requests() == 1


def test_pasted_address_and_web_ui(peer: Peer, scripted: ScriptedBrowser) -> None:
    session = new_session(**peer.settings)
    sign_in, address = begin(session, peer.first)
    sign_in.submit(scripted(address))
    assert sign_in.wait(10).username == peer.account[0]
    other = new_session(**peer.settings)
    account = other.login(peer.first, web_ui=ScriptedBrowser(scripted._web.verify))
    assert account.username == peer.account[0]
