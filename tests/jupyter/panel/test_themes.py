"""Each state in a real JupyterLab: pictures in all themes and two widths, checked with axe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, expect

from tests.harness.axe import axe_complaints
from tests.harness.jupyter import OpenNotebook
from tests.harness.lab_page import SCREENSHOTS, LabPage
from tests.jupyter.panel.gallery import SETUP, STATES, panel_under

pytestmark = pytest.mark.browser

THEMES = {
    "contrast": "JupyterLab Dark High Contrast",
    "dark": "JupyterLab Dark",
    "light": "JupyterLab Light",  # last, because the server keeps the choice for later tests
}
NARROW = 320
WIDE = 900
FACES = (("contrast", WIDE), ("dark", NARROW), ("light", NARROW), ("light", WIDE))
"""Theme and width in pixels. Colours do not depend on the width: not every pair is tried."""
TALL = 15_000
"""The height of the window: axe does not check what is scrolled out of sight."""


def use_theme(page: LabPage, theme: str) -> None:
    name = THEMES[theme]
    page._js("app.commands.execute('apputils:change-theme', {theme: arg}) && null", name)
    painted = 30_000  # ms; a repaint of a window with this height takes seconds
    body = page.page.locator("body")
    expect(body).to_have_attribute("data-jp-theme-name", name, timeout=painted)
    expect(page.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=painted)


def make_cells(page: LabPage, width: int) -> None:
    """Change the width of the window until the cells' outputs have this width."""
    page._js("app.shell.leftCollapsed || app.commands.execute('application:toggle-left-area')")
    for _ in range(4):
        box = page.output(1).locator(".jp-OutputArea-output").first.bounding_box()
        size = page.page.viewport_size
        assert box is not None
        assert size is not None
        if abs(box["width"] - width) < 1:
            return
        wanted = int(size["width"] + width - box["width"])
        page.page.set_viewport_size({"width": wanted, "height": size["height"]})
        page.page.wait_for_timeout(200)
    raise AssertionError(f"the cells do not get {width} pixels wide")


@contextmanager
def all_in_sight(page: LabPage) -> Iterator[None]:
    """Make the window as high as all cells; each repaint of it takes seconds."""
    size = page.page.viewport_size
    assert size is not None
    page.page.set_viewport_size({**size, "height": TALL})
    page.cells.first.scroll_into_view_if_needed()  # a notebook can be scrolled past its end
    expect(page.cells.last).to_be_in_viewport(timeout=30_000)
    yield
    page.page.set_viewport_size(size)


def unfold(panel: Locator) -> None:
    for summary in panel.locator("summary").all():
        summary.click()


CARDS = """from IPython.display import HTML, display
from nbauth.jupyter.display import html_for

for panel in shown[-3:]:
    panel.sign_in.ways or time.sleep(0.5)
    display(HTML(html_for(panel.sign_in)))
"""


def test_the_html_card_in_every_theme(open_notebook: OpenNotebook) -> None:
    cells = [SETUP, "for flow in ('device', 'browser', 'paste'): show(flow)", CARDS]
    page = open_notebook(cells, kernel="7.4")
    page.run_all()
    for theme in THEMES:
        use_theme(page, theme)
        cards = page.output(2).locator(".jp-RenderedHTML")
        expect(cards).to_have_count(3)
        page.output(2).screenshot(path=SCREENSHOTS / f"card-{theme}.png")
        assert axe_complaints(*cards.all()) == []


def test_axe_finds_a_planted_fault(open_notebook: OpenNotebook) -> None:
    page = open_notebook([SETUP, "show('paste')", "show('device')"], kernel="7.4")
    page.run_all()
    use_theme(page, "light")
    panel = panel_under(page, 1)
    field = panel.get_by_label("Address of the last page")
    field.evaluate("node => { node.removeAttribute('aria-label'); node.placeholder = ''; }")
    panel.evaluate("node => { node.style.color = '#bbb'; }")
    heard = " ".join(axe_complaints(panel_under(page, 2), panel))
    assert "label" in heard
    assert "color-contrast" in heard


@pytest.mark.timeout(600)  # the pictures take a minute on an idle machine
def test_every_state_in_every_theme(open_notebook: OpenNotebook) -> None:
    page = open_notebook(
        [SETUP, *(cell for cell, _ in STATES.values())], kernel="7.4", own_page=True
    )
    page.page.emulate_media(reduced_motion="reduce")
    page.run_all()
    panels = {name: panel_under(page, 1 + n) for n, name in enumerate(STATES)}
    for name, panel in panels.items():
        expect(panel).to_contain_text(STATES[name][1])
    refused = panels["paste-refused"]
    refused.get_by_label("Address of the last page").fill("https://id.example/")
    refused.get_by_role("button", name="Finish").click()
    expect(refused.get_by_role("alert")).to_be_visible()
    for name in ("browser-unfolded", "failed", "done-unfolded", "done-right-to-left"):
        unfold(panels[name])
    page.page.evaluate("document.activeElement.blur()")
    complaints = []
    for theme, size in FACES:
        use_theme(page, theme)
        make_cells(page, size)
        page.page.mouse.move(0, 0)
        for name, panel in panels.items():
            expect(panel).to_contain_text(STATES[name][1])
            box = panel.bounding_box()
            assert box is not None
            assert box["width"] <= size
            assert panel.evaluate("node => node.scrollWidth <= node.clientWidth"), name
        with all_in_sight(page):
            page.page.screenshot(path=SCREENSHOTS / f"panels-{theme}-{size}.png")
            heard = axe_complaints(*panels.values())
        complaints += [f"{theme}, {size}: {line}" for line in heard]
    assert complaints == []
    assert page.page.title() != "1"
    assert [line for line in page.console if "nbauth" in line or "anywidget" in line] == []
