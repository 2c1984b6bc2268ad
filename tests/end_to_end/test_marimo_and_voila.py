"""The panel in marimo and in Voila: a whole sign-in by device code, and out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.end_to_end.conftest import product_environment
from tests.harness.front_ends import running_marimo, running_voila
from tests.harness.jupyter import record_sign_in
from tests.harness.lab_page import SCREENSHOTS
from tests.harness.panva import Panva
from tests.harness.person import Person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PANEL = "import nbauth\nnbauth.panel()"
LOGIN = """import nbauth as nb
try:
    nb.login()
except nb.NbAuthError as error:
    print(error, error.hint)
"""
PATIENCE = 60_000


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, ignore_https_errors=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def sign_in_and_out(page: Page, person: Person, name: str) -> None:
    panel = page.get_by_role("group", name="Sign in with nbauth")
    expect(panel).to_contain_text("You are not signed in.", timeout=PATIENCE)
    panel.get_by_role("button", name="Sign in", exact=True).click()
    use_device_code(panel)
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    panel.screenshot(path=SCREENSHOTS / f"{name}-device.png")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Sign-in cancelled")
    panel.get_by_role("button", name="Try again").click()
    use_device_code(panel)
    code = panel.locator(".nbauth-code").inner_text().strip()
    with page.context.expect_page() as opened:
        panel.get_by_role("link").first.click()
    person.approve_device(opened.value, None, code)
    opened.value.close()
    expect(panel).to_contain_text("Signed in as Ada Lovelace", timeout=PATIENCE)
    record_sign_in(f"device code in {name}")
    page.screenshot(path=SCREENSHOTS / f"{name}-signed-in.png")
    panel.get_by_role("button", name="Sign out").click()
    expect(panel).to_contain_text("You are not signed in.")
    typed_text_arrives(panel)


def typed_text_arrives(panel: Locator) -> None:
    """It travels as bytes beside a message, as a password does."""
    panel.get_by_text("Another way to sign in").click()
    panel.get_by_role("button", name="Sign in and paste an address").click()
    panel.get_by_label("Address of the last page").fill("http://localhost/?code=x&state=anothers")
    panel.get_by_role("button", name="Finish").click()
    expect(panel.get_by_role("alert")).to_contain_text("from another sign-in")
    panel.get_by_role("button", name="Cancel").click()


def use_device_code(panel: Locator) -> None:
    """Choose it, where another way was chosen."""
    code = panel.locator(".nbauth-code")
    code.or_(panel.get_by_role("link", name="Continue in the browser")).first.wait_for()
    if not code.is_visible():
        panel.get_by_text("Another way to sign in").click()
        panel.locator('[data-key="way-device"]').click()
    code.wait_for()


def test_marimo(browser: Browser, panva: Panva, person: Person, tmp_path: Path) -> None:
    with (
        running_marimo(tmp_path, product_environment(panva), PANEL, LOGIN) as url,
        opened(browser, url) as page,
    ):
        sign_in_and_out(page, person, "marimo")
        said = page.get_by_test_id("console-output-area")
        expect(said.filter(has_text="nbauth.panel()")).to_be_visible()


def test_voila(browser: Browser, panva: Panva, person: Person, tmp_path: Path) -> None:
    with (
        running_voila(tmp_path, product_environment(panva), PANEL) as url,
        opened(browser, url) as page,
    ):
        sign_in_and_out(page, person, "voila")
