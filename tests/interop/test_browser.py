"""Sign-in with a real browser, which is redirected to our listener."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from nbauth.core.errors import InteractionRequired, NbAuthError, SignInDeclined, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.harness.person import Person
from tests.interop.peers import Peer, address_shown, assert_plain, our_threads, until
from tests.interop.scripted_browser import ScriptedBrowser

SCREENSHOTS = Path(__file__).parents[2] / "test-results" / "screenshots"
MODES = ("query", "form_post")


def begin(session: Session, *scopes: str, **options: object) -> SignIn:
    sign_in = session.login(*scopes, flow="browser", background=True, **options)
    assert isinstance(sign_in, SignIn)
    return sign_in


def redirect_uri_of(authorize_url: str) -> str:
    return parse_qs(urlsplit(authorize_url).query)["redirect_uri"][0]


def nobody_listens_at(redirect_uri: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(redirect_uri).port or 80), 1).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    return browser_context.new_page()


@pytest.mark.browser
@pytest.mark.parametrize("mode", MODES)
def test_a_person_signs_in(
    session: Session, peer: Peer, panva: Panva, page: Page, person: Person, mode: str
) -> None:
    sign_in = begin(session, peer.first, extra_parameters={"response_mode": mode})
    address = address_shown(sign_in)
    back = redirect_uri_of(address)
    host = "localhost" if peer.name == "microsoft" else "127.0.0.1"
    assert urlsplit(back).hostname == host
    ended = person.open_and_sign_in(page, address)
    assert ended.startswith(back)
    assert ("code=" in ended) == (mode == "query")
    account = sign_in.wait(10)
    assert (
        account.username,
        account.name,
        account.tenant_id,
        account.home_account_id,
    ) == peer.account
    expect(page.get_by_role("heading")).to_have_text("You are signed in")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"signed-in-{peer.name}-{mode}.png")
    until(lambda: not our_threads(), 2)
    assert nobody_listens_at(back)
    assert session.acquire(peer.first, interactive=False).source == "cache"
    assert [one["params"]["response_mode"] for one in panva.requests("authorization")] == [mode]
    assert session.acquire(peer.first, force_refresh=True, interactive=False).source == "refresh"


@pytest.mark.browser
@pytest.mark.parametrize("mode", MODES)
def test_the_page_waits_until_the_code_is_redeemed(
    session: Session, peer: Peer, panva: Panva, page: Page, person: Person, mode: str
) -> None:
    panva.fault("token", "hang")
    sign_in = begin(session, peer.first, extra_parameters={"response_mode": mode})
    address = address_shown(sign_in)
    answered, then = [], []
    page.on("response", lambda response: answered.append(response.url))

    def look_and_cancel() -> None:
        until(lambda: panva.token_requests() == 1)
        time.sleep(0.5)
        back = [url for url in answered if url.startswith(redirect_uri_of(address))]
        then.extend([sign_in.state, back])
        sign_in.cancel()

    looking = threading.Thread(target=look_and_cancel)
    looking.start()
    person.open_and_sign_in(page, address)
    looking.join()
    assert then == ["waiting", []]
    expect(page.get_by_role("heading")).to_have_text("Not signed in")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"not-signed-in-{peer.name}-{mode}.png")
    assert session.accounts() == []
    until(lambda: not our_threads(), 2)


@pytest.mark.browser
def test_the_page_reports_a_refused_code(
    session: Session, peer: Peer, panva: Panva, page: Page, person: Person
) -> None:
    words = "<b>odd</b> \u202eerif"
    panva.fault("token", "json", body={"error": "odd_error", "error_description": words})
    sign_in = begin(session, peer.first)
    person.open_and_sign_in(page, address_shown(sign_in))
    expect(page.get_by_role("heading")).to_have_text("Not signed in")
    expect(page.get_by_text("<b>odd</b>")).to_be_visible()  # as text
    assert "\u202e" not in page.content()
    with pytest.raises(NbAuthError) as refused:
        sign_in.wait(5)
    assert refused.value.code == "odd_error"
    assert_plain(refused.value)


@pytest.mark.browser
def test_a_person_declines(session: Session, peer: Peer, page: Page, person: Person) -> None:
    sign_in = begin(session, peer.first)
    page.goto(address_shown(sign_in))
    person.decline(page)
    with pytest.raises(SignInDeclined) as declined:
        sign_in.wait(10)
    assert_plain(declined.value)
    expect(page.get_by_role("heading")).to_have_text("Not signed in")
    assert session.accounts() == []


@pytest.mark.browser
def test_a_named_account_and_more_scopes_later(
    session: Session, peer: Peer, panva: Panva, page: Page, person: Person
) -> None:
    named = "grace@example.org" if peer.name == "microsoft" else "grace"  # as in the ID token
    sign_in = begin(session, peer.first, account=named, login_hint="grace")
    person.open_and_sign_in(page, address_shown(sign_in), user=None)  # the name is filled in
    account = sign_in.wait(10)
    assert account.name == "Grace Hopper"
    before = session.acquire(peer.first)
    more = begin(session, peer.second)
    assert begin(session, peer.second) is more
    person.open_and_sign_in(page, address_shown(more), user=None)
    assert more.wait(10) == account
    assert session.accounts() == [account]
    assert session.acquire(peer.first).access_token == before.access_token
    second = session.acquire(peer.second, interactive=False)
    assert any(scope.endswith(peer.second) for scope in second.scopes)
    asked = panva.requests("authorization")
    assert asked[0]["params"]["login_hint"] == "grace"
    assert peer.second not in asked[0]["scope"]
    assert peer.first not in asked[1]["scope"]


@pytest.mark.browser
def test_a_registered_address_with_a_path(
    session: Session, peer: Peer, page: Page, person: Person
) -> None:
    sign_in = begin(session, peer.first, redirect_uri="http://127.0.0.1/callback")
    address = address_shown(sign_in)
    assert urlsplit(redirect_uri_of(address)).path == "/callback"
    person.open_and_sign_in(page, address)
    assert sign_in.wait(10).username == peer.account[0]


@pytest.mark.browser
def test_one_sign_in_after_the_other_at_a_fixed_address(
    session: Session, peer: Peer, page: Page, person: Person
) -> None:
    """A browser keeps spare connections to the port; the next sign-in can use the port anyway."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/callback"
    for _ in range(3):
        sign_in = begin(session, peer.first, redirect_uri=address, force=True)
        shown = address_shown(sign_in)
        assert redirect_uri_of(shown) == address
        person.open_and_sign_in(page, shown)
        assert sign_in.wait(10).username == peer.account[0]
        assert nobody_listens_at(address)


@pytest.mark.browser
@pytest.mark.parametrize("what", ["response_iss", "response_iss_missing"])
def test_a_response_of_another_issuer(
    session: Session, peer: Peer, panva: Panva, page: Page, person: Person, what: str
) -> None:
    panva.tamper(what)
    sign_in = begin(session, peer.first)
    person.open_and_sign_in(page, address_shown(sign_in))
    with pytest.raises(SignInError) as refused:
        sign_in.wait(10)
    assert refused.value.code == "issuer_mismatch"
    assert_plain(refused.value)
    expect(page.get_by_role("heading")).to_have_text("Not signed in")
    assert panva.token_requests() == 0  # the code was not sent
    assert session.accounts() == []


@pytest.mark.browser
def test_a_stray_request_does_not_disturb(
    session: Session, peer: Peer, page: Page, person: Person
) -> None:
    sign_in = begin(session, peer.first)
    address = address_shown(sign_in)
    back = redirect_uri_of(address)
    for stray in ("/favicon.ico", "/?code=x&state=wrong", "/?error=access_denied", "/"):
        assert page.goto(back + stray).status == 404
    person.open_and_sign_in(page, address)
    assert sign_in.wait(10).username == peer.account[0]


# --------------------------------------------------------------------------- web_ui


def test_a_custom_web_ui(
    session: Session, peer: Peer, scripted: ScriptedBrowser, panva: Panva
) -> None:
    account = session.login(peer.first, web_ui=scripted, prompt="login", max_age=30)
    assert account.username == peer.account[0]
    (asked,) = panva.requests("authorization")
    assert (asked["params"]["prompt"], asked["params"]["max_age"]) == ("login", "30")


def test_prompt_none_fails_fast(
    session: Session, peer: Peer, scripted: ScriptedBrowser, panva: Panva
) -> None:
    with pytest.raises(InteractionRequired) as needed:
        session.login(peer.first, web_ui=scripted, prompt="none")
    assert needed.value.code == "login_required"
    assert_plain(needed.value)
    assert panva.token_requests() == 0


def test_the_address_can_be_pasted(
    session: Session, peer: Peer, scripted: ScriptedBrowser, panva: Panva
) -> None:
    for shorten in (lambda ended: ended, lambda ended: urlsplit(ended).query):
        sign_in = begin(session, peer.first, extra_parameters={"response_mode": "query"})
        sign_in.submit(shorten(scripted(address_shown(sign_in))))
        assert sign_in.wait(10).username == peer.account[0]
        session.logout()
