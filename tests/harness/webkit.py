"""WebKitGTK (Debian's ``webkit2gtk-driver`` on ``xvfb``), in the words of Playwright's pages.

Playwright's WebKit is a build of its own. The machine's own one speaks WebDriver; what is here
gives it as much of Playwright's interface as ``LabPage``, ``Person`` and the tests of
``tests/browsers`` use, so that these drive it like the other browsers. Elements are found and read
by one script; clicks and keys are the driver's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from tests.harness import missing
from tests.harness.webkit_page import WebKitPage, wait

SIZE = 1280, 900


@contextlib.contextmanager
def running_webkit(folder: Path) -> Iterator[WebKit]:
    """A screen in memory, the driver and the browser, all ended at the end; logs in *folder*."""
    for program in ("WebKitWebDriver", "Xvfb"):
        if shutil.which(program) is None:
            missing(f"{program} (make setup installs it)")
    binary = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
    if binary is None:
        missing("MiniBrowser of webkit2gtk-driver")
    with _screen(folder) as display:
        environment = {
            **os.environ,
            "DISPLAY": display,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "GDK_BACKEND": "x11",
            # No bus of the user's, and none that would be started for it and stay.
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "NO_AT_BRIDGE": "1",
            # Its sandbox refuses to start as root, which containers are.
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        }
        options = Options()
        options.binary_location = str(binary)
        options.add_argument("--automation")
        options.set_capability("acceptInsecureCerts", True)
        service = Service(
            shutil.which("WebKitWebDriver"),
            env=environment,
            log_output=str(folder / "webkit.log"),
            popen_kw={"start_new_session": True},
        )
        try:
            driver = webdriver.WebKitGTK(options=options, service=service)
            yield WebKit(driver)
            driver.quit()
        finally:
            # The driver is the leader of all that it has started, which it may leave behind.
            with contextlib.suppress(AttributeError, ProcessLookupError):
                os.killpg(service.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _screen(folder: Path) -> Iterator[str]:
    """Xvfb, which chooses a number that is free and tells it."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1100x24", "-nolisten", "tcp"]
    with (folder / "xvfb.log").open("wb") as log:
        xvfb = subprocess.Popen(command, pass_fds=[write], stdout=log, stderr=log)
    os.close(write)
    try:
        with open(read) as numbers:
            number = numbers.readline().strip()
        if not number:
            raise RuntimeError(f"Xvfb did not start:\n{(folder / 'xvfb.log').read_text()[-2000:]}")
        yield f":{number}"
    finally:
        xvfb.terminate()
        xvfb.wait(10)


class WebKit:
    """The one browser; every profile of it is the same one, emptied when it is closed."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.current = driver.current_window_handle

    def new_context(self, **_: Any) -> Context:
        return Context(self)

    @contextlib.contextmanager
    def at(self, handle: str) -> Iterator[Any]:
        """The driver, in the page of this handle; its faults are those of Playwright."""
        try:
            if self.current != handle:
                self.driver.switch_to.window(handle)
                self.current = handle
            yield self.driver
        except WebDriverException as error:
            self.current = ""
            raise PlaywrightError(f"navigating, detached or closed: {error.msg}") from error


class Context:
    def __init__(self, browser: WebKit) -> None:
        self.browser = browser
        self.home = browser.driver.window_handles[0]

    def new_page(self) -> WebKitPage:
        with self.browser.at(self.home) as driver:
            driver.switch_to.new_window("window")
            self.browser.current = driver.current_window_handle
            driver.set_window_size(*SIZE)
        return WebKitPage(self, self.browser.current)

    @contextlib.contextmanager
    def expect_page(self) -> Iterator[SimpleNamespace]:
        """``with … as opened``: the page that what is done inside opens is ``opened.value``."""
        driver = self.browser.driver
        before = set(driver.window_handles)
        opened = SimpleNamespace()
        yield opened
        wait(lambda: set(driver.window_handles) - before, "no page was opened")
        opened.value = WebKitPage(self, (set(driver.window_handles) - before).pop())

    def close(self) -> None:
        for handle in self.browser.driver.window_handles:
            with self.browser.at(handle) as driver:
                driver.delete_all_cookies()
                if handle != self.home:
                    driver.close()
                    self.browser.current = ""
