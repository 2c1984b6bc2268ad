"""What people do with the panel in JupyterLab, in Chromium, Firefox and WebKitGTK."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.harness.jupyter import record_sign_in
from tests.harness.lab_page import LabPage
from tests.harness.person import Person
from tests.jupyter.panel.gallery import panel_under

# The first test of each browser starts it, and opens JupyterLab in it.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

LOGIN = 1
AFTER = 2
EMPTY = 3


def begin(page: LabPage, line: str) -> Any:
    """Run this line in cell 1; gives the panel under it."""
    page.set_cell(LOGIN, line)
    page.run_cell(LOGIN)
    panel = panel_under(page, LOGIN)
    panel.get_by_role("button", name="Cancel").wait_for()
    return panel


def open_from(panel: Any, name: str) -> Any:
    """Press the link of that name; gives the provider's page that it opens in a new tab."""
    with panel.page.context.expect_page() as opened:
        panel.get_by_role("link", name=name).click()
    provider = opened.value
    provider.wait_for_url(re.compile("https://.*"), wait_until="commit")
    return provider


def active_cell(page: LabPage) -> int:
    return int(page._js("panel.content.activeCellIndex"))


def go_on_by_keys(page: LabPage) -> None:
    """Press Shift+Enter until cell 2 has run; each press runs a cell and goes to the next one."""
    assert active_cell(page) in (LOGIN, AFTER)
    for index in range(active_cell(page), EMPTY):
        page.page.keyboard.press("Shift+Enter")
        page._wait_js(f"panel.content.activeCellIndex === {index + 1}", 10)
    page.wait_output(AFTER, "after 2")


def shot(page: LabPage, request: pytest.FixtureRequest, name: str) -> None:
    page.screenshot(f"{request.node.callspec.id}-{name}")


def test_code_is_copied_and_a_cancelled_panel_leaves_the_keys_to_the_notebook(page, request):
    panel = begin(page, "%login --flow device")
    code = panel.locator(".nbauth-code").inner_text().strip()
    panel.get_by_role("button", name="Copy").click()
    panel.get_by_role("button", name="Copied").wait_for()
    shot(page, request, "device")
    assert panel.evaluate("node => node.scrollWidth <= node.clientWidth")
    editor = page.cell(EMPTY).locator(".cm-content")
    editor.click()
    page.page.keyboard.press("Control+v")
    assert editor.inner_text().strip() == code
    page.set_cell(EMPTY, "")

    panel.get_by_role("button", name="Cancel").click()
    page.wait_cell_done(LOGIN)
    assert "SignInCancelled" in page.cell_output_text(LOGIN)
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("Escape")
    shot(page, request, "cancelled")
    assert "Sign-in cancelled" in panel.inner_text(), "Enter began the next sign-in"
    page.set_cell(LOGIN, "print('instead')")
    go_on_by_keys(page)


def test_code_is_approved_by_clicking(page, person: Person, request):
    panel = begin(page, "account = %login --flow device")
    code = panel.locator(".nbauth-code").inner_text().strip()
    provider = open_from(panel, "Open sign-in page")
    person.approve_device(provider, None, code)
    provider.close()
    page.wait_cell_done(LOGIN)
    panel.get_by_role("button", name="Sign out").wait_for()
    shot(page, request, "signed-in")
    record_sign_in(request.node.name)
    page.set_cell(LOGIN, "print(account.username)")
    go_on_by_keys(page)
    assert page.wait_output(LOGIN, "ada")
    page.set_cell(AFTER, "print('after', 1 + 1)")


def test_letters_in_the_paste_box_are_no_shortcuts(page, request):
    panel = begin(page, "%login --flow paste")
    cells = page.cells.count()
    field = panel.locator(".nbauth-field")
    field.click()
    page.page.keyboard.type("a b dd 00 ii x y m")
    assert field.input_value() == "a b dd 00 ii x y m"
    assert page.cells.count() == cells
    assert page.cell_prompt(LOGIN) == "*", "0 0 restarts a kernel, and i i interrupts it"
    shot(page, request, "paste")
    page.page.keyboard.press("Enter")
    panel.get_by_role("alert").wait_for()
    assert field.input_value() == ""
    shot(page, request, "paste-refused")
    panel.get_by_role("button", name="Cancel").click()
    page.wait_cell_done(LOGIN)


def test_comes_back_by_the_jupyter_server(page, lab, person: Person, request):
    panel = begin(page, "account = %login --flow callback")
    provider = open_from(panel, "Continue in the browser")
    person.sign_in(provider)
    provider.get_by_text("You are signed in").wait_for()
    assert provider.url == f"{lab.url}/nbauth/callback"
    provider.close()
    page.wait_cell_done(LOGIN)
    panel.get_by_role("button", name="Sign out").wait_for()
    shot(page, request, "back")
    record_sign_in(request.node.name)
