"""The notebook keeps its keys: buttons handle only Enter and Space, a text field the typed text."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.harness.jupyter import OpenNotebook
from tests.harness.lab_page import LabPage
from tests.jupyter.panel.gallery import SETUP, panel_under
from tests.jupyter.panel.scripted import CODE, USERNAME

pytestmark = pytest.mark.browser

BOX = "Address of the last page"
IN_NOTEBOOK = "document.activeElement.closest('.jp-Notebook') !== null"
IN_PANEL = "document.activeElement.closest('.nbauth-panel') !== null"
EDITED = "document.activeElement.closest('.jp-Cell-inputArea') !== null"


def in_kernel(page: LabPage, code: str) -> None:
    """Run code in the kernel without the page, so that the focus does not move."""
    run = "panel.sessionContext.session.kernel.requestExecute({code: arg, silent: true})"
    page._js(f"{run}.done.then(() => null)", code)


def is_so(page: LabPage, what: str) -> bool:
    return bool(page.page.evaluate(what))


def runs_by_shift_enter(page: LabPage, index: int) -> None:
    """Check that Shift+Enter runs the active cell and that the next one becomes active."""
    before = page.cell_prompt(index)
    page.page.keyboard.press("Shift+Enter")
    page._wait(
        lambda: page.cell_prompt(index) not in {before, "*", ""}, "Shift+Enter is dead", 10, index
    )
    expect(page.cell(index + 1)).to_have_class(re.compile("jp-mod-active"))


ENDS = {
    "signed in": ("shown[-1].engine.answer = tokens()", USERNAME),
    "refused": ("shown[-1].engine.answer = SignInDeclined('No.')", "Sign-in failed"),
    "cancelled": ("shown[-1].sign_in.cancel()", "Sign-in cancelled"),
}


CELLS = [SETUP, "show()", "1 + 1", "2 + 2", "# last"]


def test_shift_enter_works_after_each_press_and_each_end(open_notebook: OpenNotebook) -> None:
    page = open_notebook(CELLS, kernel="7.4")
    keys = page.page.keyboard
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    for how, (what, text) in ENDS.items():
        for press in ("Copy", "a fold", "the text"):
            expect(panel.locator("code")).to_have_text(CODE)
            if press == "Copy":
                panel.get_by_role("button", name="Copy").click()
            elif press == "a fold":
                panel.get_by_text("Details of this request").click()
            else:
                panel.get_by_text("Your code", exact=True).click()
            assert is_so(page, IN_NOTEBOOK), press
            if press != "the text":
                runs_by_shift_enter(page, 1)  # and shows another panel
                continue
            in_kernel(page, what)
            expect(panel).to_contain_text(text)
            assert is_so(page, IN_NOTEBOOK), how
            assert not is_so(page, IN_PANEL), how
            runs_by_shift_enter(page, 1)
    expect(panel.locator("code")).to_have_text(CODE)
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Sign-in cancelled")
    assert not is_so(page, IN_PANEL), "Enter would press Try again"
    keys.press("ArrowDown")
    runs_by_shift_enter(page, 2)
    expect(panel).to_contain_text("Sign-in cancelled")


def test_a_redraw_takes_no_focus(open_notebook: OpenNotebook) -> None:
    """A person who types in a cell after using the panel can continue to type there."""
    page = open_notebook(CELLS, kernel="7.4")
    keys = page.page.keyboard
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    panel.get_by_text("Your code", exact=True).click()
    editor = page.cell(3).locator(".cm-content")
    editor.click()
    for what, text in (
        ("shown[-1].sign_in._tell(message='x')", CODE),
        ("shown[-1].sign_in.switch('paste')", "paste it here"),
        ("shown[-1].sign_in.switch('device')", CODE),
        ("shown[-1].engine.answer = tokens()", USERNAME),
    ):
        in_kernel(page, what)
        expect(panel).to_contain_text(text)
        assert is_so(page, EDITED), what
        keys.type("#")
    expect(editor).to_contain_text("####")


def test_only_the_text_field_keeps_keys(open_notebook: OpenNotebook) -> None:
    page = open_notebook([SETUP, "show('paste')", "1 + 1", "# last"], kernel="7.4")
    keys = page.page.keyboard
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    panel.get_by_label(BOX).click()
    keys.type("ddaabb")
    keys.press("Shift+Enter")  # in a text field the same as Enter
    expect(panel.get_by_role("alert")).to_be_visible()
    expect(page.cells).to_have_count(4)
    assert page.cell_prompt(1) == "2"
    panel.get_by_role("button", name="Cancel").focus()
    keys.press("b")  # JupyterLab inserts a cell below
    expect(page.cells).to_have_count(5)
    panel.get_by_text("Details of this request").focus()
    keys.press("Space")
    expect(panel.locator("dl")).to_be_visible()
    keys.press("Enter")
    expect(panel.locator("dl")).to_be_hidden()
