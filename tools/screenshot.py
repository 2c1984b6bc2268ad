"""Photograph the sign-in panel for the README: `make screenshot` writes docs/panel.png.

It starts the local provider of the demo and JupyterLab. In the machine's Chromium it runs a
notebook up to the waiting sign-in, and cuts the notebook's cells out of the page.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from nbauth.demo.servers import start
from tests.harness.jupyter import Lab
from tests.harness.lab_page import LabPage
from tests.harness.person import launch_chromium

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "panel.png"
CELLS = ("%load_ext nbauth", "%login --flow device", "%token --into token")
WIDTH, MARGIN = 860, 6
NO_FOCUS = """
.jp-Collapser, .jp-cell-toolbar { visibility: hidden }
.jp-Notebook .jp-Cell, .jp-Notebook .jp-Cell * { outline: none !important }
.jp-Notebook .jp-Cell { border-color: transparent !important; box-shadow: none !important }
.jp-Notebook .jp-Cell::before, .jp-Notebook .jp-Cell::after { display: none !important }
"""
"""Nothing is drawn for the cell that has the focus."""


def photograph(page: LabPage, target: Path) -> None:
    """Run the cells up to the panel; save a picture of all cells."""
    page.run_all(wait=False)
    page.output(1).get_by_role("button", name="Copy").wait_for()
    page.page.add_style_tag(content=NO_FOCUS)
    page.page.mouse.move(0, 0)
    boxes = [box for cell in page.cells.all() if (box := cell.bounding_box())]
    top = min(box["y"] for box in boxes) - MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    clip = {"x": boxes[0]["x"], "y": top, "width": boxes[0]["width"], "height": bottom - top}
    page.page.screenshot(path=target, clip=clip, scale="device", caret="hide")  # type: ignore[arg-type]


def main() -> None:
    """Start what the picture needs, take it, and end all of it."""
    with start() as demo, Lab() as lab, sync_playwright() as playwright:
        lab.offer(env=demo.environment())
        lab.write_notebook("picture.ipynb", CELLS)
        browser = launch_chromium(playwright)
        context = browser.new_context(
            viewport={"width": WIDTH, "height": 900}, device_scale_factor=1.5, color_scheme="light"
        )
        page = LabPage(context.new_page(), lab.url, lab.token, timeout=60)
        page.open("picture.ipynb")
        page.page.evaluate("window.jupyterapp.shell.collapseLeft()")
        photograph(page, PICTURE)
        browser.close()
    print(f"{PICTURE.name}: {PICTURE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
