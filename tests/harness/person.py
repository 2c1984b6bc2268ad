"""A person at a browser: signs in, consents and declines on the provider's own pages."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, Request
from playwright.sync_api import Error as PlaywrightError

from tests.harness import missing

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The provider's pages name a web font: a look-up outside this machine must not delay them.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost,"
    " EXCLUDE 127.0.0.1, EXCLUDE ::1",
]


def launch_chromium(playwright: Playwright, *, whole: bool = False) -> Browser:
    """Start the machine's own Chromium without a window.

    Args:
        playwright: starts it.
        whole: with the browser's own user interface, which also runs where nobody sees it. Without
            it, Chromium's headless shell is preferred: each page needs a third of the processor.
    """
    names = ["chromium", "chromium-browser"]
    if not whole:
        names.insert(0, "chromium-headless-shell")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing("chromium")
    return playwright.chromium.launch(executable_path=path, headless=True, args=CHROMIUM_FLAGS)


class Stuck(AssertionError):
    """The person can't continue on this page; the text is the page's."""


class Person:
    """Clicks the provider's pages, in any order: code, confirmation, sign-in, consent.

    A browser context that has signed in already is not asked for the user again.
    """

    def __init__(self, patience: float = 15.0) -> None:
        self.patience = patience

    def approve_device(
        self,
        where: BrowserContext | Page,
        verification_uri: str | None,
        user_code: str,
        user: str | None = "ada",
    ) -> None:
        """Type the code, confirm it, sign in and consent; with no address on the page at hand."""
        with self._own_page(where) as page:
            if verification_uri is not None:
                page.goto(verification_uri)
            self._walk(page, user, user_code)

    def decline_device(
        self, where: BrowserContext | Page, verification_uri: str, user_code: str
    ) -> None:
        """Type the code, then abort at the confirmation."""
        with self._own_page(where) as page:
            page.goto(verification_uri)
            self._walk(page, None, user_code, until="decline")
            self.decline(page)

    def sign_in(self, page: Page, user: str | None = "ada") -> str:
        """From one of the provider's pages to the end; gives the address the page ended at.

        That is the redirect with the response, whether or not a server is there. ``user``
        None takes the name that the page suggests (``login_hint``).
        """
        return self._walk(page, user, None)

    def open_and_sign_in(
        self, where: BrowserContext | Page, authorize_url: str, user: str | None = "ada"
    ) -> str:
        """Open an authorize address, sign in and consent; gives where it ended."""
        with self._own_page(where) as page:
            return self._walk(page, user, None, start=authorize_url)

    def decline(self, page: Page) -> str:
        """Cancel on the provider's page at hand; gives the address the page ended at."""
        link = page.get_by_role("link", name="[ Cancel ]")
        button = page.get_by_role("button", name="[ Abort ]")
        with _Redirects(page, page.url) as redirects:
            choice = link.or_(button)
            choice.wait_for(timeout=self.patience * 1000)
            _click(page, choice)
            deadline = time.monotonic() + self.patience
            while time.monotonic() < deadline and not page.is_closed():
                if redirects.away or page.get_by_text("interrupted").count():
                    break
                page.wait_for_timeout(30)
        return redirects.away or page.url

    @contextmanager
    def _own_page(self, where: BrowserContext | Page) -> Iterator[Page]:
        if not isinstance(where, BrowserContext):
            yield where
            return
        page = where.new_page()
        yield page
        page.close()

    def _walk(
        self,
        page: Page,
        user: str | None,
        user_code: str | None,
        *,
        start: str | None = None,
        until: str | None = None,
    ) -> str:
        """Do what each page requires, until the browser leaves the provider or it says done."""
        with _Redirects(page, start or page.url) as redirects:
            if start is not None:
                with _nobody_there_is_fine():
                    page.goto(start, wait_until="commit")
            deadline = time.monotonic() + self.patience
            while time.monotonic() < deadline:
                if redirects.away or page.is_closed():
                    return redirects.away or ""
                with _between_two_pages():
                    page.wait_for_load_state("domcontentloaded")
                    title = page.title()
                    if title == "Sign-in Success":
                        return page.url
                    if title.startswith("oops"):
                        raise Stuck(page.inner_text("body"))
                    if self._step(page, user, user_code, until=until):
                        return page.url
                if not page.is_closed():
                    page.wait_for_timeout(30)
        raise Stuck(f"still at {page.url.split('?')[0]}: {page.inner_text('body')[:500]}")

    def _step(
        self, page: Page, user: str | None, user_code: str | None, *, until: str | None
    ) -> bool:
        if page.locator('form[id="op.deviceInputForm"]').count():
            wrong = page.locator("p.red")
            if wrong.count():
                raise Stuck(wrong.inner_text())
            page.locator('input[name="user_code"]').fill(user_code or "")
            _click(page, page.get_by_role("button", name="Continue"))
        elif page.locator('form[id="op.deviceConfirmForm"]').count():
            if until == "decline":
                return True
            _click(page, page.get_by_role("button", name="Continue"))
        elif page.locator('input[name="prompt"][value="login"]').count():
            if user is not None:
                page.locator('input[name="login"]').fill(user)
            page.locator('input[name="password"]').fill("any password")
            _click(page, page.get_by_role("button", name="Sign-in"))
        elif page.locator('input[name="prompt"][value="consent"]').count():
            _click(page, page.get_by_role("button", name="Continue"))
        return False


class _Redirects:
    """Records where a page is sent when it leaves the provider's address."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self.home = _origin(home)
        self.away: str | None = None

    def _note(self, request: Request) -> None:
        if (
            request.is_navigation_request()
            and request.frame == self.page.main_frame
            and _origin(request.url) != self.home
        ):
            self.away = request.url

    def __enter__(self) -> Self:
        self.page.on("request", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        # If a server is there, its page is loaded too.
        if self.away and not self.page.is_closed():
            with _nobody_there_is_fine():
                self.page.wait_for_load_state("load")
        self.page.remove_listener("request", self._note)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _click(page: Page, target: Locator) -> None:
    with _nobody_there_is_fine(), page.expect_navigation(wait_until="commit"):
        target.click()


@contextmanager
def _nobody_there_is_fine() -> Iterator[None]:
    try:
        yield
    except PlaywrightError as error:
        if not re.search(r"net::ERR_|closed|interrupted by another navigation", error.message):
            raise


@contextmanager
def _between_two_pages() -> Iterator[None]:
    """A page that is being replaced by the next one can't be read: read again."""
    try:
        yield
    except PlaywrightError as error:
        if not re.search(r"context was destroyed|navigat|detached|closed", error.message):
            raise
