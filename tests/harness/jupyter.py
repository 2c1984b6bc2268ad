"""A real JupyterLab with real kernels, isolated from the user's configuration, as fixtures.

``pytest_plugins`` needs ``tests.harness.fixtures`` (the browser) and this module. A test is then::

    @pytest.mark.browser
    def test_prints(open_notebook):
        page = open_notebook(["print(1)"], kernel="7.3")
        page.run_cell(0)
        page.wait_cell_done(0)
        assert page.cell_output_text(0) == "1"
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import pytest

from tests.harness.kernels import OWN_HISTORY, ROOT, isolated_environment, write_kernelspec
from tests.harness.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from tests.harness.lab_page import LabPage

SIGN_INS = ROOT / "test-results" / "sign-ins.txt"
CommsOverSubshells = Literal["perCommTarget", "perComm", "disabled"]
LABS_KEPT = 3
LIVE = (
    "@jupyterlab/apputils-extension:kernels-settings",
    "@jupyter-widgets/jupyterlab-manager:plugin",
)
"""Plug-ins of JupyterLab that heed a change of their settings in a loaded page."""
OWN_PAGE = ""
"""The settings that are noted of a page which no other test gets."""
LabFactory = Callable[..., "Lab"]
OpenNotebook = Callable[..., "LabPage"]


def record_sign_in(name: str) -> None:
    """Count one sign-in that was done by clicking; ``.ci/run`` fails if there was none.

    Several workers of pytest-xdist do this: one write of one line, at the file's end, is atomic.
    """
    SIGN_INS.parent.mkdir(exist_ok=True)
    file = os.open(SIGN_INS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, f"{name}\n".encode())
    finally:
        os.close(file)


@dataclass
class Lab:
    """JupyterLab on 127.0.0.1 with a token, for as long as the ``with`` block lasts.

    *server_env* goes to the server (and, as always in Jupyter, from there to its kernels too),
    *server_extensions* are modules to enable, *server_config* is added to the server's
    configuration (``{"ServerApp": {...}}``). The rest can be changed while the server runs: see
    ``offer``. ``settings`` is what a page that is loaded now is set to.
    """

    server_env: Mapping[str, str] = field(default_factory=dict)
    base_url: str = "/"
    server_extensions: tuple[str, ...] = ()
    server_config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.token = secrets.token_hex(16)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="nbauth-lab-", ignore_cleanup_errors=True)
            )
            self.home = Path(folder)
            self.root = self.home / "notebooks"
            self.root.mkdir()
            self._write_configuration()
            self.offer()
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The server's address with its base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}{self.base_url.rstrip('/')}"

    @property
    def log(self) -> str:
        """The output of the server and its kernels' processes."""
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")

    def write_notebook(self, name: str, cells: Sequence[str]) -> Path:
        """Put a notebook of these cells into the server's folder; ``# %% md`` starts a text."""
        made: list[dict[str, Any]] = []
        for number, source in enumerate(cells):
            text = source.removeprefix("# %% md\n")
            cell: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}}
            cell["source"] = text.strip("\n")
            if text == source:
                cell.update(cell_type="code", execution_count=None, outputs=[])
            else:
                cell["cell_type"] = "markdown"
            made.append(cell)
        spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        path = self.root / name
        metadata = {"kernelspec": spec}
        _write_json(path, {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
        return path

    def read_notebook(self, name: str) -> dict[str, Any]:
        """The notebook's saved file."""
        saved: dict[str, Any] = json.loads((self.root / name).read_text(encoding="utf-8"))
        return saved

    def api(self, path: str, method: str = "GET") -> Any:
        """Ask the server's REST API, e.g. ``api("api/kernels")``."""
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def shut_down_kernels(self) -> None:
        """End every session, so that the next notebook starts in a fresh kernel."""
        for session in self.api("api/sessions"):
            with contextlib.suppress(urllib.error.HTTPError):
                self.api(f"api/sessions/{session['id']}", "DELETE")

    def offer(
        self,
        kernel: str = "7.4",
        env: Mapping[str, str] | None = None,
        libraries: tuple[str, ...] = (),
        comms_over_subshells: CommsOverSubshells = "perCommTarget",
        save_widget_state: bool = False,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Offer these to pages and kernels that are opened or started from now on.

        Only the kernels of *kernel*'s version are offered (as ``python3``); *env* goes to them and
        not to the server. *settings* is added to the front end's settings, by plug-in.
        """
        environment = isolated_environment(self.home, kernel, env, libraries)
        its_own = {"PYTHONPATH", "PYTHONSTARTUP"} & environment.keys()
        write_kernelspec(
            self.home / "jupyter-path",
            {name: environment[name] for name in {*its_own, *(env or {})}},
            OWN_HISTORY,
        )
        made: dict[str, dict[str, Any]] = {
            "@jupyterlab/apputils-extension:kernels-settings": {
                "commsOverSubshells": comms_over_subshells
            },
            "@jupyterlab/apputils-extension:notification": {
                "fetchNews": "false",
                "checkForUpdates": False,
                "doNotDisturbMode": True,
            },
            "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
            "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
            "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": save_widget_state},
        }
        for plugin, values in (settings or {}).items():
            made.setdefault(plugin, {}).update(values)
        folder = self.home / "lab-settings"
        shutil.rmtree(folder, ignore_errors=True)
        for plugin, values in made.items():
            path = folder / plugin.replace(":", "/", 1)
            _write_json(path.with_name(path.name + ".jupyterlab-settings"), values)
        self.settings = json.dumps(made, sort_keys=True)

    def _write_configuration(self) -> None:
        self._environment = {
            **isolated_environment(self.home, env=self.server_env),
            "JUPYTERLAB_SETTINGS_DIR": str(self.home / "lab-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.home / "lab-workspaces"),
        }
        self._environment["PYTHONPATH"] = self.server_env.get("PYTHONPATH", "")
        config: dict[str, dict[str, Any]] = {
            "ServerApp": {
                "jpserver_extensions": dict.fromkeys(self.server_extensions, True),
                "base_url": self.base_url,
                "open_browser": False,
                "allow_root": True,
                "port_retries": 0,
            },
            "LabApp": {"expose_app_in_browser": True, "extension_manager": "readonly"},
            "JupyterNotebookApp": {"expose_app_in_browser": True},
            "AsyncMappingKernelManager": {"shutdown_wait_time": 2.0},
            "KernelManager": {"shutdown_wait_time": 2.0},
        }
        for section, values in self.server_config.items():
            config.setdefault(section, {}).update(values)
        _write_json(self.home / "jupyter-config" / "jupyter_server_config.json", config)

    def _start(self) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={self.port}",
                   "--no-browser", f"--ServerApp.root_dir={self.root}"]  # fmt: skip
        environment = {**self._environment, "JUPYTER_TOKEN": self.token}
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.api("api/status")
                return
            time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log[-3000:]}")

    def _stop(self) -> None:
        """End the server and, where it did not, each process that it had started."""
        import psutil  # type: ignore[import-untyped]

        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except (AttributeError, psutil.NoSuchProcess):
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=5)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture(scope="session")
def lab_factory() -> Iterator[LabFactory]:
    """``lab_factory(**options) -> Lab``: options of a ``Lab`` and of its ``offer``.

    Tests share a server whose own options are theirs; it offers what the last one has asked for.
    A worker keeps three of them, and stops the one that was not asked for the longest.
    """
    running: dict[str, Lab] = {}
    of_the_server = {option.name for option in fields(Lab)}

    def lab(**options: Any) -> Lab:
        its_own = {name: options.pop(name) for name in of_the_server & options.keys()}
        key = repr(sorted(its_own.items()))
        if key not in running:
            while len(running) >= LABS_KEPT:
                running.pop(next(iter(running))).__exit__(None, None, None)
            running[key] = Lab(**its_own).__enter__()
        running[key] = found = running.pop(key)
        found.offer(**options)
        return found

    yield lab
    with contextlib.ExitStack() as stack:
        for one in running.values():
            stack.push(one)


class OpenLabs:
    """Pages with JupyterLab that no test uses now: to load it costs more than most tests do.

    Where a test needs a page of its own, it gets a new one in a profile that has been used and
    emptied: the profile still has JupyterLab's files in its cache.
    """

    def __init__(self) -> None:
        self._free: list[tuple[Lab, str, LabPage]] = []
        self._profiles: list[tuple[Lab, BrowserContext]] = []

    def take(self, lab: Lab) -> LabPage | None:
        """One of this server, with the settings that the server offers now."""
        for one in list(self._free):
            owner, _, page = one
            if owner.process.poll() is not None:
                self._free.remove(one)
                page.page.context.close()
        usable = [one for one in self._free if one[0] is lab and _differ_live(one[1], lab.settings)]
        if not usable:
            return None
        usable.sort(key=lambda one: one[1] != lab.settings)  # rather one that need not change
        self._free.remove(usable[0])
        _, settings, page = usable[0]
        if settings != lab.settings:
            offered = json.loads(lab.settings)
            page.obey({plugin: offered[plugin] for plugin in LIVE})
        return page

    def profile(self, lab: Lab, browser: Browser) -> BrowserContext:
        """A browser profile without pages, cookies and stored data."""
        for one in self._profiles:
            if one[0] is lab:
                self._profiles.remove(one)
                return one[1]
        return browser.new_context(
            viewport={"width": 1280, "height": 900}, ignore_https_errors=True
        )

    def give_back(self, lab: Lab, settings: str, page: LabPage) -> None:
        """Keep the page for the next test, as if its browser profile were new.

        Of a page that the test has loaded again, only the profile is kept. JupyterLab opens the
        notebook of its address once more, after it has restored its layout: in the next test that
        notebook came to the front, which was then tested in place of the test's own.
        """
        if page.reloaded:
            self.give_back_profile(lab, page)
            return
        page.leave()
        self._free.append((lab, settings, page))
        while len(self._free) > LABS_KEPT:
            self.give_back_profile(lab, self._free.pop(0)[2])

    def give_back_profile(self, lab: Lab, page: LabPage) -> None:
        """Close the page, and keep its emptied profile."""
        page.leave_profile()
        self._profiles.append((lab, page.page.context))
        while len(self._profiles) > LABS_KEPT:
            self._profiles.pop(0)[1].close()


def _differ_live(some: str, others: str) -> bool:
    """Whether a page that was loaded with *some* settings can change to *others*."""
    left, right = json.loads(some), json.loads(others)
    plugins = left.keys() | right.keys()
    return all(left.get(name) == right.get(name) for name in plugins.difference(LIVE))


@pytest.fixture(scope="session")
def open_labs() -> OpenLabs:
    """What ``open_notebook`` shares between tests."""
    return OpenLabs()


@pytest.fixture
def open_notebook(
    lab_factory: LabFactory,
    browser: Browser,
    open_labs: OpenLabs,
    request: pytest.FixtureRequest,
) -> Iterator[OpenNotebook]:
    """``open_notebook(cells, lab=None, own_page=False, **options) -> LabPage``: a new notebook.

    The page may have served an earlier test; its cookies, notebooks and kernels are gone. With
    *own_page* nobody had it before and nobody gets it afterwards: for a test that resizes or
    listens to the page. Nobody gets a page that a test has reloaded either. The next page may be
    in the same browser profile, after it was emptied; with *own_profile* it is not: for a test that
    listens to the profile.
    ``front_end="notebook"`` is Notebook 7, in an own page; its server needs that as an extension.
    Of a test that failed, a picture of each page is kept, and what its scripts complained of is
    shown. Kernels end with the test.
    """
    from tests.harness.lab_page import LabPage

    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    opened: list[tuple[LabPage, Lab, str | None]] = []

    def open_one(
        cells: Sequence[str],
        lab: Lab | None = None,
        front_end: str = "lab",
        own_page: bool = False,
        own_profile: bool = False,
        **options: Any,
    ) -> LabPage:
        lab = lab or lab_factory(**options)
        path = f"{name}-{len(opened)}.ipynb"
        lab.write_notebook(path, cells)
        shared = front_end == "lab" and not own_page and not own_profile
        page = open_labs.take(lab) if shared else None
        kept = None if own_profile else lab.settings if shared else OWN_PAGE
        if page is not None:
            opened.append((page, lab, kept))
            page.open_beside(path)
            return page
        context = open_labs.profile(lab, browser)
        page = LabPage(context.new_page(), lab.url, lab.token)
        opened.append((page, lab, kept))
        page.open(path, front_end)
        return page

    yield open_one
    report = request.node.stash.get(_REPORT, None)
    failed = report is None or report.failed
    for number, (page, lab, kept) in enumerate(opened):
        if failed:
            page.screenshot(f"failed-{name}-{number}")
            print(f"console of page {number}:", *page.console, sep="\n  ")
        page.end_session()
        if failed or kept is None or page.page.is_closed():
            page.page.context.close()
        elif kept == OWN_PAGE:
            open_labs.give_back_profile(lab, page)
        else:
            open_labs.give_back(lab, kept, page)
    for _, lab, _ in opened:  # a page that was closed has left its kernel behind
        with contextlib.suppress(OSError):
            lab.shut_down_kernels()


_REPORT = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let ``open_notebook`` know how the test ended."""
    report = yield
    if report.when == "call":
        item.stash[_REPORT] = report
    return report
