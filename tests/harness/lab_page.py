"""One notebook in a real JupyterLab 4.6 or Notebook 7, used as people do: by clicks and keys."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, Request
from playwright.sync_api import TimeoutError as PlaywrightTimeout

SCREENSHOTS = Path(__file__).resolve().parents[2] / "test-results" / "screenshots"

POLL = 50
"""Milliseconds; each look costs the browser, the driver and the test some of the processor."""

#: Cookies that are not Jupyter's own.
OF_OTHERS = re.compile("^(?!username-|_xsrf$)")

#: The notebook in the page's application; ``panel`` is Lab's NotebookPanel.
_PANEL = """path => {
  const app = window.jupyterapp;
  if (!app) return null;
  for (const panel of app.shell.widgets('main'))
    if (panel.context && panel.context.path === path) return panel;
  return null;
}"""

#: How often the notebook was saved, in ``panel.saves``; counted from the first query on.
_COUNT_SAVES = """panel.saves === undefined && (
  panel.saves = 0,
  panel.saveStates = [],
  panel.context.saveState.connect((_, state) => {
    panel.saveStates.push(state);
    if (state === 'completed') panel.saves += 1;
  }),
  null)"""

#: What a save that does not come to its end may wait for, and which requests it has made.
_SAVE_STATE = """({
  states: panel.saveStates,
  inFront: app.shell.currentWidget === panel ? 'this' : app.shell.currentWidget?.title.label,
  open: [...app.shell.widgets('main')].map(widget => widget.title.label),
  writable: panel.context.contentsModel?.writable,
  enabled: app.commands.isEnabled('docmanager:save', {toolbar: true}),
  dialogs: [...document.querySelectorAll('.jp-Dialog')].map(dialog => dialog.innerText),
})"""

_FORGET = """async () => {
  localStorage.clear();
  for (const { name } of await indexedDB.databases()) indexedDB.deleteDatabase(name);
}"""

#: JupyterLab opens the notebook of the page's address as the last step of a load: also when the
#: layout of the last load has brought it back long before.
_LOADED = """panel && panel.context.isReady && !document.querySelector('.jp-mod-restoring')
  && !(app.name === 'JupyterLab' && !document.querySelector('.jp-FileBrowser'))"""


#: Read these plug-ins' settings again, as JupyterLab does where its editor of settings has saved
#: them; gives what now applies. Lumino has no public way from a service's name to the service.
_OBEY = """(() => {
  const services = [...app.pluginRegistry._services.keys()];
  const token = services.find(one => one.name === '@jupyterlab/coreutils:ISettingRegistry');
  return app.resolveRequiredService(token).then(registry => Promise.all(
    arg.map(name => registry.reload(name).then(settings => [name, settings.composite]))
  )).then(Object.fromEntries);
})()"""


def _end_of(request: Request) -> str:
    """The request in one line: how long it took, or that it has no response yet."""
    took = request.timing["responseEnd"]
    state = f"{took:.0f} ms" if took >= 0 else request.failure or "no response yet"
    return f"{request.method} {urlsplit(request.url).path}: {state}"


class LabPage:
    """A notebook in a browser's page. Cells are counted from 0; time-outs are in seconds."""

    def __init__(self, page: Page, url: str, token: str, timeout: float = 20) -> None:
        self.page = page
        self.url = url
        self.timeout = timeout
        self.path = ""
        self.console: list[str] = []  #: errors and warnings of the page's scripts
        self.reloaded = False  #: the page was loaded again after ``open``
        self._token = token
        self._panel_id = ""
        page.set_default_timeout(timeout * 1000)
        page.on("domcontentloaded", lambda _: setattr(self, "reloaded", True))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                self.console.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )

    # The notebook

    def open(self, notebook: str, front_end: str = "lab", timeout: float = 60) -> None:
        """Open a notebook of the server's folder alone, in a fresh layout; wait for its kernel.

        The *front_end* ``"notebook"`` is Notebook 7, where the server has it as an extension.
        """
        self.path = notebook
        where = {"lab": "lab/workspaces/test/tree", "notebook": "notebooks"}[front_end]
        self.page.goto(f"{self.url}/{where}/{quote(notebook)}?reset&token={self._token}")
        self.wait_kernel(timeout)
        self._wait_loaded(timeout)
        self.reloaded = False
        self.cells.first.wait_for()

    def reload(self, timeout: float = 60) -> None:
        """Load the page again, as by F5; wait until the notebook is open."""
        self.page.reload()
        self._wait_loaded(timeout)

    def open_beside(self, notebook: str) -> None:
        """Open a notebook in the JupyterLab that is loaded already; wait for its kernel."""
        self.path = notebook
        self._js("app.commands.execute('docmanager:open', {path: arg}) && null", notebook)
        self.wait_kernel()
        self._wait_js("app.shell.currentWidget === panel", self.timeout)
        self._panel_id = self._js("panel.id")
        self.cells.first.wait_for()

    def obey(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Apply what the server now offers; wait until the values of *settings* are in force.

        *settings* are values by plug-in, all of plug-ins that heed a change in a loaded page.
        """
        end = time.monotonic() + self.timeout
        while any(
            now[plugin].get(name) != value
            for now in [self._js(_OBEY, list(settings))]
            for plugin, values in settings.items()
            for name, value in values.items()
        ):
            assert time.monotonic() < end, f"the page does not obey {settings}"
            self.page.wait_for_timeout(POLL)

    def leave(self) -> None:
        """Close what is open, and forget what the page's profile has learnt."""
        for other in self.page.context.pages:
            if other is not self.page:
                other.close()
        self._js("[...app.shell.widgets('main')].forEach(widget => widget.dispose())")
        self.page.context.clear_cookies(name=OF_OTHERS)
        self.page.context.clear_permissions()
        self.console.clear()

    def leave_profile(self) -> None:
        """Close all pages of the profile, and delete what they have stored; its cache stays."""
        context = self.page.context
        self.page.evaluate(_FORGET)
        for one in context.pages:
            one.close()
        context.clear_cookies()
        context.clear_permissions()

    def wait_kernel(self, timeout: float = 60) -> None:
        """Wait until the notebook's kernel is connected and idle."""
        self._wait_js(
            "panel && panel.context.isReady"
            " && panel.sessionContext.session?.kernel?.status === 'idle'"
            " && panel.sessionContext.session.kernel.connectionStatus === 'connected'",
            timeout,
        )

    def kernel_status(self) -> str:
        """``idle``, ``busy``, ``starting``, ``dead``… as the page sees it."""
        return str(self._js("panel.sessionContext.session?.kernel?.status"))

    def save(self) -> None:
        """Press the save button; wait until the file is written.

        JupyterLab ignores the button while an earlier save still makes its checkpoint, and says
        nothing: then it is pressed again, as a person does who sees that nothing was saved.
        """
        self._js(_COUNT_SAVES)
        before = self._js("panel.saves")
        end = time.monotonic() + self.timeout
        with self._noted_requests() as requests:
            while self._js("panel.saves") == before:
                if time.monotonic() > end:
                    self.screenshot("timed-out")
                    raise AssertionError(
                        f"not saved in {self.timeout} s: {self._js(_SAVE_STATE)}\n"
                        f"requests: {[_end_of(request) for request in requests]}\n"
                        f"{self.console[-10:]}"
                    )
                # A button that is covered or hidden is a reason of its own: the message says which.
                with contextlib.suppress(PlaywrightTimeout):
                    self._tool("docmanager:save").click(timeout=2000)
                self._wait_js(f"panel.saves > {before}", 2, or_else=True)

    def interrupt(self) -> None:
        """Press the stop button."""
        self._tool("notebook:interrupt-kernel").click()

    def restart_kernel(self) -> None:
        """Press the restart button and confirm."""
        self._tool("notebook:restart-kernel").click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self._wait_js("panel.sessionContext.session?.kernel?.status !== 'idle'", 5, or_else=True)
        self.wait_kernel()

    def end_session(self) -> None:
        """Shut down the notebook's kernel, where there is one."""
        # If the page is gone, the server ends the kernel when it stops.
        with contextlib.suppress(PlaywrightError):
            self._js("panel && panel.sessionContext.shutdown()")

    # Cells

    @property
    def cells(self) -> Locator:
        """All cells of the notebook."""
        return self._panel().locator(".jp-Notebook .jp-Cell:not(.jp-Cell-placeholder)")

    def cell(self, index: int) -> Locator:
        """The cell, source and outputs."""
        return self.cells.nth(index)

    def output(self, index: int) -> Locator:
        """A cell's output area: search it for buttons and texts, which can be clicked."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run_cell(self, index: int) -> None:
        """Click on the cell's prompt and press Ctrl+Enter (a user's gesture); does not wait."""
        self._js(f"panel.content.widgets[{index}].model.executionCount = null")
        self.cell(index).locator(".jp-InputArea-prompt").first.click()
        self.page.keyboard.press("Control+Enter")

    def run_all(self, wait: bool = True, timeout: float = 60) -> None:
        """Run every code cell, one after the other."""
        self._js("panel.content.widgets.forEach(c => { c.model.executionCount = null })")
        self._js("app.commands.execute('notebook:run-all-cells') && null")
        if wait:
            for index in range(self.cells.count()):
                if "jp-CodeCell" in (self.cell(index).get_attribute("class") or ""):
                    self.wait_cell_done(index, timeout)

    def run(self, index: int, timeout: float = 60) -> str:
        """Run a cell to its end; gives its outputs' text."""
        self.run_cell(index)
        self.wait_cell_done(index, timeout)
        # The number comes on another channel than the outputs; idle comes after both.
        kernel = "panel.sessionContext.session.kernel"
        self._wait(
            lambda: self._js(f"{kernel}.status") == "idle", "the kernel is not idle", timeout, index
        )
        return self.cell_output_text(index)

    def set_cell(self, index: int, source: str) -> None:
        """Put another source into the cell."""
        self._js(f"panel.content.widgets[{index}].model.sharedModel.setSource(arg)", source)

    def cell_prompt(self, index: int) -> str:
        """``"3"`` (done), ``"*"`` (running or queued), ``""`` (not run, or aborted)."""
        text = self.cell(index).locator(".jp-InputArea-prompt").first.inner_text()
        return text.strip().strip("[]: ")

    def wait_cell_done(self, index: int, timeout: float = 60) -> int:
        """Wait until the cell that was run has its number; gives it."""
        self._wait(
            lambda: self.cell_prompt(index).isdigit(), f"cell {index} is not done", timeout, index
        )
        return int(self.cell_prompt(index))

    def wait_cell_running(self, index: int, timeout: float = 10) -> None:
        """Wait until the cell shows ``[*]``."""
        self._wait(
            lambda: self.cell_prompt(index) == "*", f"cell {index} does not run", timeout, index
        )

    def cell_output_text(self, index: int) -> str:
        """The text that a person reads under the cell: all outputs, widgets included."""
        outputs = self.cell(index).locator(".jp-OutputArea-output")
        return "\n".join(text.strip() for text in outputs.all_inner_texts())

    def wait_output(self, index: int, text: str | re.Pattern[str], timeout: float = 30) -> str:
        """Wait until the cell's outputs hold *text* (a pattern is searched for); gives them all."""
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        self._wait(
            lambda: pattern.search(self.cell_output_text(index)) is not None,
            f"{pattern.pattern!r} is not under cell {index}",
            timeout,
            index,
        )
        return self.cell_output_text(index)

    def click_in_output(self, index: int, name: str) -> None:
        """Click the button or link of that name in the outputs."""
        area = self.output(index)
        button = area.get_by_role("button", name=name, exact=True)
        button.or_(area.get_by_role("link", name=name, exact=True)).first.click()

    def screenshot(self, name: str) -> Path:
        """Save a screenshot in ``test-results/screenshots/``."""
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path

    # Internals

    def _wait_loaded(self, timeout: float) -> None:
        self._wait_js(_LOADED, timeout)
        self._panel_id = self._js("panel.id")

    def _panel(self) -> Locator:
        """This notebook's panel, never the one of another notebook that is in front of it."""
        return self.page.locator(f'[id="{self._panel_id}"]')

    def _tool(self, command: str) -> Locator:
        return self._panel().locator(f'.jp-Toolbar [data-command="{command}"]').first

    @contextlib.contextmanager
    def _noted_requests(self) -> Iterator[list[Request]]:
        """The requests that the page makes from now on."""
        requests: list[Request] = []

        def note(request: Request) -> None:
            requests.append(request)

        self.page.on("request", note)
        yield requests
        self.page.remove_listener("request", note)

    def _js(self, expression: str, arg: Any = None) -> Any:
        """A JavaScript expression over ``app``, this notebook's ``panel`` and ``arg``."""
        return self.page.evaluate(
            f"([path, arg]) => {{ const app = window.jupyterapp; const panel = ({_PANEL})(path);"
            f" return {expression}; }}",
            [self.path, arg],
        )

    def _wait_js(self, expression: str, timeout: float, or_else: bool = False) -> None:
        end = time.monotonic() + timeout
        while not self._js(f"Boolean({expression})"):
            if time.monotonic() > end:
                if or_else:
                    return
                self.screenshot("timed-out")
                raise AssertionError(f"not within {timeout} s: {expression}\n{self.console[-10:]}")
            self.page.wait_for_timeout(POLL)

    def _wait(self, condition: Any, complaint: str, timeout: float, index: int) -> None:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                self.screenshot("timed-out")
                raise AssertionError(
                    f"{complaint} after {timeout} s: prompt [{self.cell_prompt(index)}], kernel"
                    f" {self.kernel_status()}, output:\n{self.cell_output_text(index)}"
                )
            self.page.wait_for_timeout(POLL)
