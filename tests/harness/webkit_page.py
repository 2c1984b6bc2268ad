"""One window of WebKitGTK and what is in it, in the words of Playwright."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

PATIENCE = 20.0
TURN = 0.03
KEYS = {"Control": Keys.CONTROL, "Shift": Keys.SHIFT, "Enter": Keys.ENTER, "Escape": Keys.ESCAPE}
NEXT_FRAME = """() => Promise.race([
  new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  new Promise((done) => setTimeout(done, 1000)),
]).then(() => null)"""
"""Without it a picture shows what was there before the last change."""
FIND = Path(__file__).with_name("webkit_find.js").read_text("utf-8")


class WebKitPage:
    """One window. Time-outs are Playwright's, in milliseconds; not all are heeded."""

    main_frame = None

    def __init__(self, context: Any, handle: str) -> None:
        self.context = context
        self.handle = handle
        self.keyboard = Keyboard(self)
        self._listeners: list[Callable[[Any], None]] = []
        self._seen = ""

    def __getattr__(self, name: str) -> Any:
        """``locator``, ``get_by_role``…: from the whole document."""
        return getattr(Locator(self, []), name)

    def at(self) -> Any:
        return self.context.browser.at(self.handle)

    @property
    def url(self) -> str:
        with self.at() as driver:
            return str(driver.current_url)

    def goto(self, url: str, **_: Any) -> None:
        with self.at() as driver:
            driver.get(url)

    def evaluate(self, script: str, arg: Any = None) -> Any:
        with self.at() as driver:
            text = script if "=>" in script.partition("\n")[0] else f"() => {script}"
            return driver.execute_script(f"return ({text})(...arguments)", arg)

    def title(self) -> str:
        with self.at() as driver:
            return str(driver.title)

    def inner_text(self, selector: str) -> str:
        return self.locator(selector).inner_text()

    def screenshot(self, path: Path | str) -> None:
        self.evaluate(NEXT_FRAME)
        with self.at() as driver:
            driver.save_screenshot(str(path))

    def wait_for_timeout(self, milliseconds: float) -> None:
        time.sleep(milliseconds / 1000)

    def wait_for_load_state(self, state: str = "load") -> None:
        good = ["complete"] if state == "load" else ["interactive", "complete"]
        wait(lambda: self.evaluate("document.readyState") in good, "the page does not load")
        self._tell_of_navigation()

    def wait_for_url(self, pattern: re.Pattern[str], **_: Any) -> None:
        wait(lambda: pattern.search(self.url), f"never at {pattern.pattern}")

    @contextlib.contextmanager
    def expect_navigation(self, **_: Any) -> Iterator[None]:
        self.evaluate("window.nbauth_before = 1")
        yield

        def elsewhere() -> bool:
            try:
                return not self.evaluate("window.nbauth_before")
            except PlaywrightError:
                return self.is_closed()

        wait(elsewhere, "the page stayed")

    def is_closed(self) -> bool:
        return self.handle not in self.context.browser.driver.window_handles

    def close(self) -> None:
        with self.at() as driver:
            driver.close()
            self.context.browser.current = ""

    def set_default_timeout(self, _: float) -> None:
        """It has one for all."""

    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        """Of all events only navigations are told, when the page is looked at after them."""
        if event == "request":
            self._seen = self.url
            self._listeners.append(listener)

    def remove_listener(self, _: str, listener: Callable[[Any], None]) -> None:
        self._listeners.remove(listener)

    def _tell_of_navigation(self) -> None:
        if self._listeners and (url := self.url) != self._seen:
            self._seen = url
            request = SimpleNamespace(url=url, frame=None, is_navigation_request=lambda: True)
            for listener in list(self._listeners):
                listener(request)


class Keyboard:
    def __init__(self, page: WebKitPage) -> None:
        self.page = page

    def press(self, chord: str) -> None:
        *held, key = chord.split("+")
        with self.page.at() as driver:
            actions = ActionChains(driver, duration=0)
            for one in held:
                actions.key_down(KEYS[one])
            actions.send_keys(KEYS.get(key, key))
            for one in reversed(held):
                actions.key_up(KEYS[one])
            actions.perform()

    def type(self, text: str) -> None:
        with self.page.at() as driver:
            ActionChains(driver, duration=0).send_keys(text).perform()


class Locator:
    """Finds its elements anew each time it is asked."""

    def __init__(self, page: WebKitPage, steps: list[list[Any]]) -> None:
        self.page = page
        self.steps = steps

    def _then(self, *step: Any) -> Locator:
        return Locator(self.page, [*self.steps, list(step)])

    def locator(self, selector: str) -> Locator:
        return self._then("css", selector)

    def get_by_role(self, role: str, name: str | None = None, exact: bool = False) -> Locator:
        return self._then("role", role, name, exact)

    def get_by_label(self, text: str) -> Locator:
        return self._then("label", text)

    def get_by_text(self, text: str) -> Locator:
        return self._then("text", text)

    def nth(self, number: int) -> Locator:
        return self._then("nth", number)

    def or_(self, other: Locator) -> Locator:
        return self._then("or", other.steps)

    @property
    def first(self) -> Locator:
        return self.nth(0)

    def _ask(self, want: str) -> Any:
        with self.page.at() as driver:
            return driver.execute_script(FIND, self.steps, want)

    def _element(self) -> Any:
        wait(lambda: self._ask("shown"), f"not to be seen: {self.steps}")
        return self._ask("shown")[0]

    def count(self) -> int:
        return int(self._ask("number"))

    def is_visible(self) -> bool:
        return bool(self._ask("shown"))

    def wait_for(self, timeout: float = PATIENCE * 1000) -> None:
        wait(lambda: self._ask("shown"), f"not to be seen: {self.steps}", timeout / 1000)

    def all_inner_texts(self) -> list[str]:
        return list(self._ask("texts"))

    def inner_text(self) -> str:
        wait(lambda: self._ask("texts"), f"not there: {self.steps}")
        return str(self._ask("texts")[0])

    def get_attribute(self, name: str) -> str | None:
        value: str | None = self.evaluate("(element, name) => element.getAttribute(name)", name)
        return value

    def input_value(self) -> str:
        return str(self.evaluate("element => element.value"))

    def evaluate(self, script: str, arg: Any = None) -> Any:
        wait(lambda: self._ask("elements"), f"not there: {self.steps}")
        with self.page.at() as driver:
            element = self._ask("elements")[0]
            return driver.execute_script(f"return ({script})(...arguments)", element, arg)

    def scroll_into_view_if_needed(self) -> None:
        self.evaluate("element => element.scrollIntoView({block: 'nearest'})")

    def click(self) -> None:
        element = self._element()
        with self.page.at():
            element.click()

    def fill(self, text: str) -> None:
        element = self._element()
        with self.page.at():
            element.clear()
            element.send_keys(text)


def wait(condition: Callable[[], Any], complaint: str, timeout: float = PATIENCE) -> None:
    """Look again and again; a page between two documents is looked at later."""
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(PlaywrightError):
            if condition():
                return
        if time.monotonic() > end:
            raise AssertionError(f"{complaint} (after {timeout} s)")
        time.sleep(TURN)
