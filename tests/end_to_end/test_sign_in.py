"""The main job: a plain ``%login`` in JupyterLab, approved by clicking on the provider's pages."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.end_to_end.conftest import ROOT, code_cell, notebook_cells
from tests.harness.jupyter import record_sign_in

pytestmark = pytest.mark.browser

TOUR = ROOT / "notebooks" / "01-sign-in.ipynb"
MATRIX = [
    pytest.param("7.4", "disabled", id="ipykernel-7.4-no-subshells"),
    pytest.param("7.3", "perCommTarget", id="ipykernel-7.3-default"),
    pytest.param("6.29", "perCommTarget", id="ipykernel-6.29"),
]


def click_through(page, index, person):
    """Press the panel's link and sign in on the page of the provider that it opens."""
    link = page.output(index).get_by_role("link", name="Continue in the browser")
    link.scroll_into_view_if_needed()
    page.screenshot(f"waiting-browser-{page.path.removesuffix('.ipynb')}")
    with page.page.context.expect_page() as opened:
        link.click()
    provider = opened.value
    provider.wait_for_load_state()
    provider.screenshot(path=ROOT / "test-results/screenshots/provider-sign-in.png")
    person.sign_in(provider)
    provider.get_by_text("You are signed in").wait_for()
    provider.screenshot(path=ROOT / "test-results/screenshots/back-from-provider.png")
    provider.close()


@pytest.mark.parametrize(("kernel", "subshells"), MATRIX)
def test_device_code_is_approved_by_clicking(
    kernel, subshells, lab_with_provider, open_notebook, person
):
    lab = lab_with_provider(kernel=kernel, comms_over_subshells=subshells, save_widget_state=True)
    cells = [
        "%load_ext nbauth",
        "account = %login --flow device",
        "print('queued', account.username, type(account).__name__)",
        "%token --show",
    ]
    page = open_notebook(cells, lab=lab)
    page.run_all(wait=False)
    area = page.output(1)
    area.get_by_role("button", name="Copy").wait_for()
    page.screenshot(f"waiting-device-{kernel}")
    uri = area.get_by_role("link").first.get_attribute("href")
    code = area.locator(".nbauth-code").inner_text().strip()
    person.approve_device(page.page.context, uri, code)
    page.wait_cell_done(1)
    record_sign_in(f"device {kernel} {subshells}")
    assert "queued ada" in page.wait_output(2, "Account")
    assert "User.Read" in page.wait_output(3, "scopes")
    page.screenshot(f"signed-in-{kernel}")
    page.save()
    assert code not in json.dumps(lab.read_notebook(page.path))


@pytest.mark.parametrize(("kernel", "subshells"), MATRIX)
def test_tour_is_signed_in_by_clicking(
    kernel, subshells, lab_with_provider, open_notebook, person, panva, request
):
    lab = lab_with_provider(kernel=kernel, comms_over_subshells=subshells, save_widget_state=True)
    cells = notebook_cells(TOUR)
    page = open_notebook(cells, lab=lab)
    page.run_all(wait=False)
    login = code_cell(cells, "%login")
    page.wait_cell_running(login)
    before = panva.token_requests("authorization_code")
    click_through(page, login, person)
    page.wait_cell_done(login)
    assert panva.token_requests("authorization_code") == before + 1
    holder = "document.activeElement.closest('.nbauth-panel, .jp-Notebook').className"
    assert "jp-Notebook" in page.page.evaluate(holder), "the panel keeps the keyboard"
    for number, cell in enumerate(cells):
        if not cell.startswith("# %% md"):
            page.wait_cell_done(number)
    record_sign_in(f"browser {kernel} {subshells}")
    assert "Ada" in page.cell_output_text(code_cell(cells, "import os"))
    assert "•••" in page.cell_output_text(code_cell(cells, "headers ="))
    prompts = [
        int(page.cell_prompt(number))
        for number, cell in enumerate(cells)
        if not cell.startswith("# %% md")
    ]
    assert prompts == sorted(prompts), "cells queued behind %login did not run in order"
    page.screenshot(f"tour-{kernel}")
    page.save()
    saved = json.dumps(lab.read_notebook(page.path))
    assert "eyJ" not in saved
    assert "response_type=" not in saved
    page.reload()
    page.wait_output(login, re.compile("nbauth sign-in panel|Signed in|Sign in"))
    page.screenshot(f"reopened-{kernel}")


LOGIN_AND_NOTE_THE_END = """import threading, time
try:
    %login{options}
finally:
    ended = time.time()
"""
WHAT_IS_LEFT = """def left():
    return [t.name for t in threading.enumerate() if "nbauth" in t.name]
while left() and time.time() < ended + 1:
    time.sleep(0.01)
print(ended, left())
"""


@pytest.mark.timing
@pytest.mark.parametrize(("kernel", "subshells"), MATRIX)
def test_it_can_be_ended_while_the_cell_waits(kernel, subshells, lab_with_provider, open_notebook):
    """By the panel and by the stop button: one clear line within a second, no thread, no port."""
    lab = lab_with_provider(kernel=kernel, comms_over_subshells=subshells, save_widget_state=True)
    by_panel, by_interrupt = (
        LOGIN_AND_NOTE_THE_END.format(options=options) for options in (" --flow device", "")
    )
    cells = ["%load_ext nbauth", by_panel, WHAT_IS_LEFT, by_interrupt, WHAT_IS_LEFT]
    page = open_notebook(cells, lab=lab)
    page.run(0)

    def end(cell, press, said):
        page.run_cell(cell)
        cancel = page.output(cell).get_by_role("button", name="Cancel")
        cancel.wait_for()
        pressed = time.time()
        press(cancel)
        page.wait_cell_done(cell)
        text = page.cell_output_text(cell)
        assert said in text
        assert "Traceback" not in text
        ended, left = page.run(cell + 1).split(maxsplit=1)
        assert left == "[]"
        assert float(ended) - pressed < 1

    end(1, lambda cancel: cancel.click(), "SignInCancelled: The sign-in was cancelled.")
    end(
        3,
        lambda _: page.interrupt(),
        "SignInInterrupted: the sign-in was cancelled by the interrupt.",
    )
