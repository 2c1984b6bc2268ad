"""P5: from the start of a ``%login`` cell to something on the screen, in a real JupyterLab."""

from __future__ import annotations

from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.table import Row
from nbauth.demo.servers import Demo
from tests.harness.jupyter import Lab
from tests.harness.lab_page import LabPage
from tests.harness.person import launch_chromium

ROUNDS = 12
#: Frame by frame: when the cell's outputs first show anything, when the panel's button is there,
#: when the code is.
RUN_AND_LOOK = """([index]) => new Promise((resolve, reject) => {
  const notebook = window.jupyterapp.shell.currentWidget;
  const node = notebook.content.widgets[index].node;
  const times = {};
  const see = (name, selector) => {
    const found = node.querySelector(selector);
    if (name in times || !found || !found.innerText.trim()) return;
    times[name] = performance.now() - began;
  };
  const began = performance.now();
  const look = () => {
    see('anything', '.jp-OutputArea-output');
    see('panel', '.nbauth-panel button');
    see('code', '.nbauth-code');
    if ('code' in times) resolve(times);
    else if (performance.now() - began > 20000) reject(new Error(node.innerText));
    else requestAnimationFrame(look);
  };
  notebook.content.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
  look();
})"""


def measure(demo: Demo) -> list[Row]:
    """Run the cell, look, cancel; again in the same kernel."""
    environment = {k: v for k, v in demo.environment().items() if k.startswith("NBAUTH_")}
    with Lab() as lab, sync_playwright() as playwright:
        lab.offer(env=environment)
        browser = launch_chromium(playwright)
        lab.write_notebook("panel.ipynb", ["%load_ext nbauth", "%login --flow device"])
        page = LabPage(browser.new_page(), lab.url, lab.token)
        page.open("panel.ipynb")
        page.run(0)
        seen = [one(page) for _ in range(ROUNDS + 1)]
        page.end_session()
        browser.close()
    first, warm = seen[0], seen[1:]
    paint, panel, code = (
        median(times[name] for times in warm) / 1000 for name in ("anything", "panel", "code")
    )
    return [
        Row("P5", "`%login` → first paint, warm kernel", paint, "–", None, "–"),
        Row("P5", "`%login` → panel, warm kernel", panel, "–", None, "≤ 500 ms"),
        Row("P5", "`%login` → the provider's code, warm kernel", code, "–", None, "–"),
        Row("P5", "`%login` → panel, the kernel's first", first["panel"] / 1000, "–", None, "–"),
    ]


def one(page: LabPage) -> dict[str, Any]:
    """Milliseconds until each was there, in one run of the cell, which is then cancelled."""
    times: dict[str, Any] = page.page.evaluate(RUN_AND_LOOK, [1])
    page.output(1).get_by_role("button", name="Cancel").click()
    page.wait_cell_done(1)
    return times
