"""The panel in JupyterLab, used with the mouse, with the keyboard only, and by pasting."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.harness.jupyter import LabFactory, OpenNotebook
from tests.harness.lab_page import LabPage
from tests.jupyter.panel.gallery import SETUP, panel_under
from tests.jupyter.panel.scripted import CODE, NAME, PAGE, USERNAME

pytestmark = pytest.mark.browser

ACCOUNTS = "print(len(shown[-1]._session.accounts()), shown[-1].sign_in.state)"
BOX = "Address of the last page"


def everything_saved(notebook: dict[str, Any]) -> str:
    """The outputs and metadata of the notebook, without the source of its cells."""
    outputs = [cell.get("outputs") for cell in notebook["cells"]]
    return json.dumps([outputs, notebook["metadata"]])


def seconds_left(where: Locator) -> int:
    minutes, seconds = where.get_by_role("timer").inner_text().split()[0].split(":")
    return int(minutes) * 60 + int(seconds)


def focused(page: LabPage) -> str:
    return str(page.page.evaluate("document.activeElement.dataset.key ?? 'elsewhere'"))


def test_by_mouse_from_code_to_signed_out(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4", save_widget_state=True)
    cells = [SETUP, "show()", "shown[-1].engine.answer = tokens()", ACCOUNTS]
    page = open_notebook(cells, lab=lab)
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    expect(panel.locator("code")).to_have_text(CODE)
    link = panel.get_by_role("link", name="Open sign-in page")
    expect(link).to_have_attribute("href", PAGE)
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(panel.get_by_role("status")).to_contain_text("Your code is ready")
    before = seconds_left(panel)
    assert 880 < before <= 900
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    assert page.page.evaluate("navigator.clipboard.readText()") == CODE
    expect(panel.get_by_role("button", name="Copy", exact=True)).to_be_visible()
    assert seconds_left(panel) < before
    assert CODE not in panel.get_by_role("status").inner_text()
    page.save()
    waiting = everything_saved(lab.read_notebook(page.path))

    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Sign-in cancelled")
    assert page.run(3) == "0 cancelled"
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator("code")).to_have_text(CODE)
    page.run(2)
    expect(panel.get_by_role("timer")).to_contain_text(re.compile(r"Token: (5\d:\d\d|1 h 0 min)"))
    expect(panel).to_contain_text(USERNAME)
    expect(panel.locator(".nbauth-avatar")).to_have_text("AL")
    expect(panel.get_by_role("status")).to_have_text(f"Signed in as {NAME}.")
    assert page.run(3) == "1 done"
    page.save()
    done = everything_saved(lab.read_notebook(page.path))
    for saved in (waiting, done):
        assert "_anywidget_id" in saved, "without saved widget state, the next lines test nothing"
        assert "nbauth sign-in panel" in saved
        for private in (CODE, PAGE, NAME, USERNAME, "an-access" + "-token", "id.example/"):
            assert private not in saved
    panel.get_by_role("button", name="Sign out").click()
    expect(panel).to_contain_text("You are not signed in.")
    assert page.run(3) == "0 done"
    assert [line for line in page.console if "nbauth" in line or "anywidget" in line] == []


def test_by_keyboard_alone(open_notebook: OpenNotebook) -> None:
    cells = [SETUP, "show('browser', begun=False)", "shown[-1].engine.answer = tokens()", "# last"]
    page = open_notebook(cells, kernel="7.4")
    keys = page.page.keyboard
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    panel.get_by_role("button", name="Sign in", exact=True).focus()
    keys.press("Enter")
    expect(panel.get_by_role("link", name="Continue in the browser")).to_be_visible()
    assert focused(page) == "elsewhere", "a second Enter would open the page"
    keys.press("Tab")
    expect(panel.get_by_role("link", name="Continue in the browser")).to_be_focused()
    keys.press("Tab")
    assert focused(page) == "unreachable-summary"
    keys.press("Tab")
    assert focused(page) == "ways-summary"
    keys.press("Space")
    expect(panel.get_by_role("button", name="Sign in with a code")).to_be_visible()
    keys.press("Tab")
    assert focused(page) == "way-device"
    keys.press("Space")
    expect(panel.locator("code")).to_have_text(CODE)
    keys.press("Tab")
    assert focused(page) == "copy"
    keys.press("Enter")
    expect(panel.get_by_role("button", name=re.compile("Copied|Ctrl"))).to_be_focused()
    for _ in range(3):
        keys.press("Tab")
    assert focused(page) == "way-browser", "the fold was closed"
    keys.press("Tab")
    keys.press("Enter")
    expect(panel.get_by_label(BOX)).to_be_visible()
    keys.press("Tab")
    link = panel.get_by_role("link", name="Open sign-in page")
    expect(link).to_be_focused()
    keys.press("Tab")
    expect(panel.get_by_label(BOX)).to_be_focused()
    keys.type("ddaabb")  # in command mode these keys delete and add cells
    keys.press("Escape")
    expect(panel.get_by_label(BOX)).to_have_value("ddaabb")
    expect(page.cells).to_have_count(4)
    expect(panel.get_by_label(BOX)).to_be_focused()
    assert page.cell_prompt(1) == "2", "a key has run the cell"
    keys.press("Control+a")
    keys.type("http://localhost/?code=x&state=y")
    keys.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("That address is from another sign-in.")
    expect(panel.get_by_label(BOX)).to_be_focused()
    expect(panel.get_by_label(BOX)).to_have_value("")
    request = "panel.sessionContext.session.kernel.requestExecute({code: arg})"
    page._js(f"{request}.done.then(() => null)", cells[2])  # no click: the focus stays in the panel
    keys.type("?code=C-1&" + str(link.get_attribute("href")).partition("?")[2])
    keys.press("Enter")
    expect(panel).to_contain_text(USERNAME)
    assert focused(page) == "elsewhere", "a second Enter would sign out"
    panel.get_by_role("button", name="Sign out").focus()
    keys.press("Space")
    expect(panel).to_contain_text("You are not signed in.")


NOTE_THE_BOX = """() => {
  const send = window.sendAsBefore = WebSocket.prototype.send;
  window.sentWith = [];
  WebSocket.prototype.send = function (data) {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    if (text.includes('"paste"')) sentWith.push(document.querySelector(".nbauth-field").value);
    return send.call(this, data);
  };
}"""


@pytest.mark.parametrize("flow", ["browser", "paste"])
def test_the_paste_box_is_cleared_first_and_its_text_is_not_saved(
    flow: str, open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4", save_widget_state=True)
    show, answer = f"show({flow!r})", "shown[-1].engine.answer = tokens()"
    cells = [SETUP, show, answer, "print(shown[-1].engine.redeemed)"]
    page = open_notebook(cells, lab=lab)
    page.page.evaluate(NOTE_THE_BOX)
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    if flow == "browser":
        panel.get_by_text("The last page cannot be opened?").click()
    box = panel.get_by_label(BOX)
    expect(box).to_be_visible()
    assert box.evaluate("node => getComputedStyle(node).webkitTextSecurity") == "none"
    box.fill("http://localhost/?code=SECRET-ONE&state=of-another")
    assert box.evaluate("node => getComputedStyle(node).webkitTextSecurity") == "disc"
    panel.get_by_role("button", name="Finish").click()
    alert = panel.get_by_role("alert")
    expect(alert).to_contain_text("That address is from another sign-in.")
    expect(box).to_have_value("")
    page.save()
    assert "SECRET-ONE" not in json.dumps(lab.read_notebook(page.path))
    page.run(2)
    link = panel.get_by_role("link", name=re.compile("Open sign-in page|Continue in the browser"))
    state = str(link.get_attribute("href")).partition("?")[2]
    box.fill(f"http://localhost/?code=SECRET-TWO&{state}")
    box.press("Enter")
    expect(panel).to_contain_text(USERNAME)
    assert page.page.evaluate("sentWith") == ["", ""]
    page.page.evaluate("() => { WebSocket.prototype.send = sendAsBefore; }")
    assert page.run(3) == "['SECRET-TWO']"
    page.set_cell(3, "")
    page._js("panel.content.widgets[3].model.clearExecution() ?? null")
    page.save()
    saved = lab.read_notebook(page.path)
    assert "_anywidget_id" in json.dumps(saved)
    assert "SECRET" not in json.dumps(saved)


def test_typed_text_stays_when_the_state_is_sent_again(open_notebook: OpenNotebook) -> None:
    again, changed = "shown[0]._send_state()", "shown[0].sign_in._tell(message='x')"
    cells = [SETUP, "show('paste')", again, changed]
    page = open_notebook(cells, kernel="7.4")
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    box = panel.get_by_label(BOX)
    box.fill("half an address")
    panel.get_by_text("Details of this request").click()
    page.run(2)
    page.run(3)
    expect(box).to_have_value("half an address")
    expect(panel.locator("dl")).to_be_visible()


LAYOUTS = [
    "HBox([{0}])",
    "HBox([{0}, {0}])",
    "HBox([Button(description='one'), {0}, Button(description='two')])",
    "GridBox([{0}, {0}], layout=Layout(grid_template_columns='auto auto'))",
    "GridBox([{0}])",
    "VBox([{0}, {0}])",
    "Tab([{0}])",
    "Accordion([{0}], selected_index=0)",
    "AppLayout(left_sidebar=Button(description='left'), center={0})",
    "HBox([VBox([HBox([{0}])])])",
]
USABLE = 230
FITS = "width => document.querySelector('.jp-OutputArea-output').offsetWidth < width"


def test_in_every_layout_it_has_a_usable_width(open_notebook: OpenNotebook) -> None:
    cells = [layout.format("show()") for layout in LAYOUTS]
    page = open_notebook(
        [f"{SETUP}\nfrom ipywidgets import *", *cells], kernel="7.4", own_page=True
    )
    page.run_all()
    for window in (1280, 700):
        page.page.set_viewport_size({"width": window, "height": 900})
        page.page.wait_for_function(FITS, arg=window)
        for number, layout in enumerate(LAYOUTS, 1):
            expect_usable_width(page, number, layout)
        page.screenshot(f"panel-layouts-{window}")


def expect_usable_width(page: LabPage, number: int, layout: str) -> None:
    room = page.output(number).locator(".jp-OutputArea-output").first.bounding_box()
    assert room is not None
    for panel in panel_under(page, number).all():
        expect(panel.locator("code")).to_have_text(CODE)
        box = panel.bounding_box()
        assert box is not None
        assert box["width"] >= min(USABLE, room["width"] - 40), (layout, box)
        assert panel.evaluate("node => node.scrollWidth <= node.clientWidth"), layout
        assert box["width"] <= room["width"], layout


def test_two_panels_show_one_sign_in(open_notebook: OpenNotebook) -> None:
    cells = [SETUP, "show(begun=False)", "SignInPanel(shown[0]._session, shown[0]._start)",
             "shown[-1].engine.answer = tokens()"]  # fmt: skip
    page = open_notebook(cells, kernel="7.4")
    page.run(0)
    page.run(1)
    page.run(2)
    first, second = (panel_under(page, n) for n in (1, 2))
    first.get_by_role("button", name="Sign in", exact=True).click()
    for one in (first, second):
        expect(one.locator("code")).to_have_text(CODE)
    second.get_by_role("button", name="Cancel").click()
    for one in (first, second):
        expect(one).to_contain_text("Sign-in cancelled")
    second.get_by_role("button", name="Try again").click()
    page.run(3)
    for one in (first, second):
        expect(one).to_contain_text(USERNAME)
    first.get_by_role("button", name="Sign out").click()
    for one in (first, second):
        expect(one).to_contain_text("You are not signed in.")


@pytest.mark.timing
@pytest.mark.parametrize("enabled", [True, False], ids=["callback", "no-callback"])
def test_the_probe_checks_machine_and_server(
    enabled: bool, open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    disabled = {"ServerApp": {"jpserver_extensions": {"nbauth.server": False}}}
    lab = lab_factory(kernel="7.4", server_config={} if enabled else disabled)
    look = (
        "t = time.monotonic(); seen = None\nthreading.Thread(target=lambda:"
        " globals().update(seen=shown[0].probe(5), took=time.monotonic() - t)).start()"
    )
    result = "print(seen, took < 2, shown[0].page)"
    page = open_notebook([SETUP, "show('browser')", look, result], lab=lab)
    page.run(0)
    page.run(1)
    expect(panel_under(page, 1)).to_contain_text("Continue in the browser")
    page.run(2)
    page.page.wait_for_timeout(500)
    origin = page.url.rstrip("/")
    assert page.run(3) == (
        f"ProbeResult(same_machine=True, callback={enabled}) True"
        f" Page(origin='{origin}', base_url='/', hub_host='', hub_prefix='', server_name='')"
    )


@pytest.mark.parametrize("version", ["7.4", "7.3"])
def test_answers_while_the_next_cell_runs(version: str, open_notebook: OpenNotebook) -> None:
    page = open_notebook([SETUP, "show()", "time.sleep(6)"], kernel=version)
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    expect(panel.locator("code")).to_have_text(CODE)
    page.run_cell(2)
    page.wait_cell_running(2)
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Sign-in cancelled", timeout=3000)
    assert page.cell_prompt(2) == "*"
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator("code")).to_have_text(CODE, timeout=3000)
    assert page.cell_prompt(2) == "*"
    page.wait_cell_done(2)


NO_CLIPBOARD = """() => Object.defineProperty(
  navigator, "clipboard", { value: undefined, configurable: true })"""
NOTE_COPIES = """() => {
  window.notingCopies = new AbortController();
  document.addEventListener(
    "copy", () => copied(getSelection() + ""), { signal: notingCopies.signal });
}"""


def test_copies_without_a_clipboard(open_notebook: OpenNotebook) -> None:
    page = open_notebook([SETUP, "show()"], kernel="7.4")
    page.page.evaluate(NO_CLIPBOARD)
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    copied: list[str] = []
    page.page.expose_function("copied", lambda text: copied.append(text))
    page.page.evaluate(NOTE_COPIES)
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    page.page.wait_for_timeout(100)
    assert copied == [CODE]
    page.page.evaluate("() => { delete navigator.clipboard; notingCopies.abort(); }")
    assert page.page.evaluate("Boolean(navigator.clipboard)")
