"""Opens the person's browser, if it has windows of its own.

w3m, lynx and the like run inside the terminal, where the person types: they are never started. What
a command runs can't be known for sure (``BROWSER``, a script, xdg-open), so a command gets neither
the terminal nor its streams.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator

from nbauth.core.errors import ConfigurationError

IN_A_TERMINAL = frozenset(
    (
        "w3m", "lynx", "links", "links2", "elinks", "www-browser", "browsh", "carbonyl", "chawan",
        "cha", "edbrowse", "netrik", "retawq",
    )
)  # fmt: skip
"""Browsers that run inside a terminal, by the names of their programs."""
_WINDOWS_ENDINGS = (".exe", ".bat", ".cmd")


def with_windows(name: str | None = None) -> webbrowser.BaseBrowser | None:
    """The browser of that name, else the machine's first one that has windows; ``None``: none.

    Args:
        name: a program, a command line with ``%s``, or a name that ``webbrowser`` knows.
    """
    for browser in _found([name] if name else [*_of_environment(), None]):
        if not is_in_a_terminal(browser):
            return browser
    return None


def is_in_a_terminal(browser: webbrowser.BaseBrowser) -> bool:
    """Whether it is one of those that run inside a terminal."""
    program = os.path.basename(str(getattr(browser, "name", ""))).lower()
    for ending in _WINDOWS_ENDINGS:
        program = program.removesuffix(ending)
    return program in IN_A_TERMINAL


def open_window(browser: webbrowser.BaseBrowser, address: str) -> None:
    """Open an address, waiting for no command to end. Raises ``OSError``, ``webbrowser.Error``."""
    if not isinstance(browser, webbrowser.GenericBrowser):
        browser.open(address)
        return
    command = [browser.name, *(argument.replace("%s", address) for argument in browser.args)]
    process = subprocess.Popen(  # noqa: S603 - the person's own choice of a program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    threading.Thread(target=process.wait, name="nbauth-browser", daemon=True).start()


def open_browser(choice: bool | str | Callable[[str], object], address: str) -> None:
    """Open an address as the setting ``open_browser`` says: by itself, by name, by a callable."""
    if callable(choice):
        choice(address)
        return
    name = choice if isinstance(choice, str) else None
    browser = with_windows(name)
    try:
        if browser is not None:
            open_window(browser, address)
            return
    except (OSError, webbrowser.Error):
        pass
    inside = name is not None and any(map(is_in_a_terminal, _found([name])))
    raise ConfigurationError(
        f"The browser {name!r} runs inside the terminal. nbauth does not start such browsers."
        if inside
        else f"The browser {name!r} cannot be started here."
        if name
        else "No browser with windows can be started here.",
        code="no_browser",
        hint="Set open_browser to another browser, or remove it and open the address yourself.",
    )


def _of_environment() -> list[str]:
    return [name for name in os.environ.get("BROWSER", "").split(os.pathsep) if name]


def _found(names: Iterable[str | None]) -> Iterator[webbrowser.BaseBrowser]:
    """Those that are there, in that order."""
    for name in names:
        try:
            browser = webbrowser.get(name)
        except webbrowser.Error:  # no name that webbrowser knows; it may be a program
            if not name:
                continue
            browser = webbrowser.GenericBrowser(name)
        if not isinstance(browser, webbrowser.GenericBrowser) or shutil.which(browser.name):
            yield browser
