"""The tests for every third-party provider; for a missing ability they check what happens.

Each provider has a file: its tests share a server, and pytest-xdist runs a file in one worker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from nbauth.core.errors import (
    FlowUnavailable,
    InteractionRequired,
    NotSignedIn,
)
from nbauth.core.steps import AskPassword
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.kernels import ROOT, isolated_environment
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.provider import Foreign
from tests.interop.peers import (
    address_shown,
    assert_plain,
    device_shown,
    new_session,
    our_threads,
    screen_of,
    until,
)

SCREENSHOTS = ROOT / "test-results" / "screenshots"
PATIENCE = 20.0

ANOTHER_KERNEL = """
import json, sys
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.session import Session
from nbauth.testing.screen import RecordingScreen
settings, scopes = json.loads(sys.argv[1])
session = Session(SettingsReader({}), RecordingScreen())
session.configure(refresh_ahead=False, persist="file", **settings)
for scope in scopes:
    result = session.acquire(scope, interactive=False, force_refresh=True)
    print(json.dumps([result.source, result.account.home_account_id]))
session.rest()
"""


@pytest.fixture
def session(foreign: Foreign) -> Iterator[Session]:
    """A kernel's session configured for the provider; it must stop with the test."""
    foreign.forget()
    made = new_session(**foreign.settings)
    yield made
    for pending in made.pending():
        pending.cancel()
    until(lambda: not our_threads(), 5)


@pytest.fixture
def forms(foreign: Foreign) -> FormBrowser:
    """A scripted browser without a signed-in user."""
    return FormBrowser(foreign)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with sign-ins stored in files; this process belongs to the same user."""
    made = isolated_environment(tmp_path, env={"NBAUTH_PASSPHRASE": "the user's passphrase"})
    for name in ("XDG_DATA_HOME", "NBAUTH_PASSPHRASE"):
        monkeypatch.setenv(name, made[name])
    return made


class EveryProvider:
    """The tests; each provider's file inherits them, and marks known failures."""

    @pytest.mark.browser
    def test_a_sign_in_by_clicking(
        self, session: Session, foreign: Foreign, browser_context: BrowserContext
    ) -> None:
        sign_in = session.login(foreign.first, flow="browser", background=True)
        assert isinstance(sign_in, SignIn)
        page = browser_context.new_page()
        clicked_through(page, foreign, sign_in)
        expect(page.get_by_role("heading")).to_have_text("You are signed in")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"signed-in-{foreign.name}.png")
        account = sign_in.wait(PATIENCE)
        assert (account.home_account_id, account.username) == (foreign.subject, foreign.username)
        assert session.acquire(foreign.first, interactive=False).source == "cache"

    @pytest.mark.parametrize("slash", ["", "/"], ids=["without", "with"])
    def test_the_issuer_with_or_without_a_trailing_slash(
        self, session: Session, foreign: Foreign, forms: FormBrowser, slash: str
    ) -> None:
        session.configure(authority=foreign.issuer.rstrip("/") + slash)
        account = session.login(*foreign.asking(foreign.first), web_ui=forms)
        assert account.home_account_id == foreign.subject
        result = session.acquire(foreign.first, interactive=False)
        assert result.id_token_claims["iss"] == foreign.issuer

    def test_a_password_is_not_asked_for_if_the_metadata_does_not_list_the_grant(
        self, session: Session, foreign: Foreign
    ) -> None:
        sign_in = session.login(foreign.first, flow="password", background=True)
        assert isinstance(sign_in, SignIn)
        until(lambda: sign_in.state != "waiting" or isinstance(sign_in.step, AskPassword))
        if foreign.can("password"):
            assert isinstance(sign_in.step, AskPassword), sign_in.error
            return
        assert isinstance(sign_in.error, FlowUnavailable), sign_in.step
        assert sign_in.error.suggested_flow == "browser"
        assert_plain(sign_in.error)
        assert foreign.token_requests("password") == []

    def test_a_device_code(self, session: Session, foreign: Foreign, forms: FormBrowser) -> None:
        sign_in = session.login(foreign.first, flow="device", background=True)
        assert isinstance(sign_in, SignIn)
        if foreign.can("device"):
            forms.approve(*device_shown(sign_in))
            assert sign_in.wait(PATIENCE).home_account_id == foreign.subject
            again = session.acquire(foreign.first, force_refresh=True, interactive=False)
            assert again.source == "refresh"
            return
        with pytest.raises(FlowUnavailable) as refused:
            sign_in.wait(PATIENCE)
        assert_plain(refused.value)
        assert refused.value.suggested_flow == "browser"

    def test_two_apis_on_one_grant(
        self, session: Session, foreign: Foreign, forms: FormBrowser
    ) -> None:
        """A refresh for one keeps the scopes of the other (RFC 6749 §6)."""
        session.login(*foreign.asking(foreign.first, foreign.second), web_ui=forms)
        screen_of(session).there = False
        for scope in (foreign.first, foreign.second, foreign.first):
            result = session.acquire(scope, force_refresh=True)
            assert result.source == "refresh"
            assert scope in result.scopes
        assert {one.status for one in foreign.refreshes()} == {200}

    def test_a_refresh_token_is_used_once_and_the_new_one_stored(
        self, session: Session, foreign: Foreign, forms: FormBrowser
    ) -> None:
        session.login(*foreign.asking(foreign.first), web_ui=forms)
        screen_of(session).there = False
        given = foreign.token_requests("authorization_code")[-1].answer["refresh_token"]
        for _ in range(3):
            assert session.acquire(foreign.first, force_refresh=True).source == "refresh"
        assert [one.status for one in foreign.refreshes()] == [200] * 3
        for asked in foreign.refreshes():
            assert asked.form["refresh_token"] == given
            given = asked.answer.get("refresh_token", given)
        spent = [one.form["refresh_token"] for one in foreign.refreshes()]
        if foreign.can("rotate"):
            assert all(one != other for one, other in pairwise(spent))
        else:
            assert len(set(spent)) == 1

    def test_a_stored_sign_in_in_another_kernel(
        self,
        session: Session,
        foreign: Foreign,
        forms: FormBrowser,
        environment: dict[str, str],
    ) -> None:
        """Another process uses the stored sign-in, and this one then uses its new refresh token."""
        session.configure(persist="file")
        session.login(*foreign.asking(foreign.first), web_ui=forms)
        session.rest()
        second = int(time.time())
        until(lambda: int(time.time()) > second, 2)  # some tokens of one second are equal
        told = json.dumps([foreign.settings, [foreign.first]])
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ANOTHER_KERNEL, told],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["refresh", foreign.subject]
        (refresh,) = foreign.refreshes()
        screen_of(session).there = False
        taken_over = session.acquire(foreign.first, force_refresh=True)
        assert taken_over.access_token == refresh.answer["access_token"]
        session.acquire(foreign.first, force_refresh=True)
        assert [one.status for one in foreign.refreshes()] == [200, 200]
        if foreign.can("rotate"):
            spent = [one.form["refresh_token"] for one in foreign.refreshes()]
            assert len(set(spent)) == len(spent)

    def test_signing_out_revokes(
        self, session: Session, foreign: Foreign, forms: FormBrowser
    ) -> None:
        session.login(*foreign.asking(foreign.first), web_ui=forms)
        screen_of(session).there = False
        session.acquire(foreign.first, force_refresh=True)
        (refresh,) = foreign.refreshes()
        held = refresh.answer.get("refresh_token", refresh.form["refresh_token"])
        session.logout(revoke=True)
        assert session.accounts() == []
        with pytest.raises((NotSignedIn, InteractionRequired)):
            session.acquire(foreign.first, interactive=False)
        if foreign.can("revoke"):
            assert [one.form["token"] for one in foreign.revocations()] == [held]
            assert [one.status for one in foreign.revocations()] == [200]
            assert screen_of(session).said == []
        else:
            assert all(one.status >= 400 for one in foreign.revocations())
            (said,) = screen_of(session).said
            assert "revo" in said
            assert held not in said
        answer = refreshed_by_hand(foreign, held)
        ends = foreign.can("revoke") and foreign.can("end_tokens")
        assert answer.status_code == (400 if ends else 200)


def clicked_through(page: Page, foreign: Foreign, sign_in: SignIn) -> None:
    """Open the address and fill in each page until the sign-in has ended."""
    with suppress(PlaywrightError):
        page.goto(address_shown(sign_in), wait_until="commit")

    def on() -> bool:
        with suppress(PlaywrightError):  # a page that redirects
            page.wait_for_load_state("domcontentloaded")
            if page.url.startswith(foreign.front.url):
                foreign.clicks(page, sign_in.user_code or "")
            page.wait_for_timeout(30)
        return sign_in.state != "waiting"

    until(on, PATIENCE)
    with suppress(PlaywrightError):
        page.wait_for_load_state("load")


def refreshed_by_hand(foreign: Foreign, refresh_token: str) -> requests.Response:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": foreign.client_id,
    }
    with requests.Session() as web:
        web.trust_env = False
        url = foreign.front.url + foreign.token_path
        return web.post(url, form, verify=foreign.ca_file, timeout=20)
