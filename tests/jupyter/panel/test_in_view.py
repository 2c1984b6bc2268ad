"""A waiting cell always shows its sign-in, also after its output was removed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.harness.jupyter import LabFactory, OpenNotebook
from tests.harness.lab_page import LabPage
from tests.jupyter.panel.gallery import panel_under
from tests.jupyter.panel.scripted import CODE, USERNAME
from tests.jupyter.panel.waiting_cells import WAITING, approve

pytestmark = pytest.mark.browser

STOPPED = "This cell had already stopped: run it and the cells below again."


def waits_in_view(page: LabPage, index: int) -> None:
    """The cell's output has one working panel, with the code and Cancel."""
    expect(panel_under(page, index)).to_have_count(1)
    expect(panel_under(page, index).locator("code")).to_have_text(CODE)
    expect(panel_under(page, index).get_by_role("button", name="Cancel")).to_be_visible()


def clear(page: LabPage, index: int) -> None:
    page.cell(index).locator(".jp-InputArea-prompt").first.click()
    page._js("app.commands.execute('notebook:clear-cell-output') && null")


@pytest.mark.parametrize("version", ["7.4", "6.29"])
def test_after_a_second_run_and_after_clear_output(
    version: str, open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel=version)
    approve(lab, False)
    cells = [WAITING, "account = %login", "print('next', account.username)", "%logout"]
    page = open_notebook(cells, lab=lab)
    page.run(0)
    page.run_cell(1)
    waits_in_view(page, 1)
    page.run_cell(1)  # JupyterLab empties the output at once
    waits_in_view(page, 1)
    clear(page, 1)
    waits_in_view(page, 1)
    page.run_cell(2)
    approve(lab)
    page.wait_cell_done(2)
    assert page.wait_output(2, "next") == f"next {USERNAME}"
    assert USERNAME in page.wait_output(1, "Already signed in")
    expect(panel_under(page, 1)).to_have_count(1)
    page.run(3)
    approve(lab, False)
    page.run_cell(1)
    waits_in_view(page, 1)
    clear(page, 1)
    waits_in_view(page, 1)
    panel_under(page, 1).get_by_role("button", name="Cancel").click()
    page.wait_cell_done(1)
    assert "SignInCancelled" in page.cell_output_text(1)
    page.page.wait_for_timeout(600)
    clear(page, 1)  # no cell waits, so the output stays cleared
    page.page.wait_for_timeout(1200)
    expect(panel_under(page, 1)).to_have_count(0)


def test_after_a_cell_is_deleted_the_next_one_shows_its_sign_in(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4")
    approve(lab, False)
    page = open_notebook([WAITING, "%login", "print('next')"], lab=lab)
    page.run(0)
    page.run_cell(1)
    waits_in_view(page, 1)
    page.cell(1).locator(".jp-InputArea-prompt").first.click()
    page.page.keyboard.type("dd")
    expect(page.cells).to_have_count(2)
    page.run_cell(1)
    waits_in_view(page, 1)
    approve(lab)
    page.wait_cell_done(1)
    assert "next" in page.cell_output_text(1)


JOINING = [
    "sign_in = %login --background",
    "sign_in.wait()",
    "await sign_in",
    "%token",
    "%login",
    "await nbauth.login_async()",
    "nbauth.panel()",
]


def test_a_cell_that_joins_shows_the_sign_in_too(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4")
    approve(lab, False)
    page = open_notebook([WAITING, *JOINING], lab=lab)
    page.run(0)
    page.run(1)
    expect(panel_under(page, 1).locator("code")).to_have_text(CODE)
    for index in range(2, 7):
        page.run_cell(index)
        waits_in_view(page, index)
        page.interrupt()
        page.wait_cell_done(index)
        expect(panel_under(page, 1).locator("code")).to_have_text(CODE)  # it continues
    page.run(7)
    expect(panel_under(page, 7).locator("code")).to_have_text(CODE)
    clear(page, 1)
    page.run_cell(2)
    waits_in_view(page, 2)
    approve(lab)
    page.wait_cell_done(2)
    expect(panel_under(page, 7)).to_contain_text(USERNAME)


def test_try_again_after_the_cell_has_failed_says_so(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4")
    approve(lab, False)
    cells = [
        WAITING,
        "%login",
        "print('below')",
        "%logout --quiet",
        "sign_in = %login --background",
    ]
    page = open_notebook(cells, lab=lab)
    page.run(0)
    page.run_cell(1)
    page.run_cell(2)
    waits_in_view(page, 1)
    panel = panel_under(page, 1)
    panel.get_by_role("button", name="Cancel").click()
    page.wait_cell_done(1)
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator("code")).to_have_text(CODE)
    approve(lab)
    expect(panel).to_contain_text(STOPPED)
    expect(panel.get_by_role("status")).to_have_text(
        re.compile(rf"Signed in as [^.]+\. {STOPPED}$")
    )
    assert page.cell_prompt(2) == "", "the cell below was run"
    page.run(3)
    expect(panel).not_to_contain_text(STOPPED)
    approve(lab, False)
    page.run(4)
    background = panel_under(page, 4)
    background.get_by_role("button", name="Cancel").click()
    background.get_by_role("button", name="Try again").click()
    approve(lab)
    expect(background).to_contain_text(USERNAME)
    expect(background).not_to_contain_text(STOPPED)  # that cell has not failed


def test_in_an_output_widget_displayed_or_not(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4")
    approve(lab, False)
    cells = [
        WAITING + "from ipywidgets import Output\nout = Output()\n",
        "with out:\n    print('said')\n    account = nbauth.login()",
        "%logout --quiet\nout.clear_output()\ndisplay(out)\nwith out:\n    account = %login",
        "out",
    ]
    page = open_notebook(cells, lab=lab)
    page.run(0)
    page.run_cell(1)
    waits_in_view(page, 1)
    assert "said" not in page.cell_output_text(1)
    panel_under(page, 1).get_by_role("button", name="Cancel").click()
    page.wait_cell_done(1)
    page.run(3)
    assert "said" in page.cell_output_text(3)  # the widget takes the cell's other outputs
    page.run_cell(2)
    waits_in_view(page, 2)
    page.page.wait_for_timeout(3500)
    waits_in_view(page, 2)
    approve(lab)
    page.wait_cell_done(2)
