"""Tab in JupyterLab writes what is meant in a magic's line."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_tab_writes_the_option_and_its_value(lab_with_provider, open_notebook):
    page = open_notebook(["%load_ext nbauth", "", ""], lab=lab_with_provider())
    page.run(0)
    for index, typed, written in (
        (1, "%login --fl", "%login --flow"),
        (2, "x = %token --fo", "x = %token --force-refresh"),
    ):
        page.cell(index).locator(".cm-content").click()
        page.page.keyboard.type(typed)
        page.page.keyboard.press("Tab")
        offered = page.page.locator(".jp-Completer-item")
        offered.first.wait_for()
        assert offered.count() == 1, offered.all_inner_texts()
        page.page.keyboard.press("Enter")
        expect(page.cell(index).locator(".cm-content")).to_have_text(written)
    page.page.keyboard.type(" --")
    page.page.keyboard.press("Tab")
    offered.first.wait_for()
    names = [text.strip() for text in offered.all_inner_texts()]
    page.screenshot("completion-of-a-magic")
    assert any("--into" in name for name in names), names
    assert len(names) < 20, names
