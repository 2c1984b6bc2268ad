"""A terminal as a screen: Python or IPython, with no notebook in front."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import math
import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nbauth.core.errors import ConfigurationError
from nbauth.jupyter.display import lines_for, web_address
from nbauth.kernel.screen import no_callback
from nbauth.oauth.error_catalogue import plain

if TYPE_CHECKING:
    from nbauth.kernel.driver import Receiver
    from nbauth.kernel.sign_in import SignIn

TURN = 0.1
"""Seconds after which a waiting terminal looks up, so that Ctrl-C is heard."""
PASTE_PROMPT = "Address at which the browser ended (not shown as you paste it): "


class TerminalScreen:
    """See :class:`nbauth.kernel.screen.Screen`.

    Args:
        open_browser: whether it may open the browser by itself, where there is one.
    """

    def __init__(self, *, open_browser: bool = True) -> None:
        self._open_browser = open_browser

    def attended(self) -> bool:
        return (
            threading.current_thread() is threading.main_thread()
            and _is_terminal(sys.stdin)
            and _is_terminal(sys.stderr)
        )

    def show(self, sign_in: SignIn) -> None:
        told: set[str | None] = set()

        def look(sign_in: SignIn) -> None:
            address = sign_in.authorize_url
            news = sign_in.user_code or address or ("end" if sign_in.state == "done" else None)
            if news is None or news in told:
                return  # a failure is told by the error that the call raises
            told.add(news)
            self._print(lines_for(sign_in))
            if address and web_address(address) and self._open_browser and _graphical():
                with contextlib.suppress(webbrowser.Error, OSError):
                    webbrowser.open(address)

        sign_in.observe(look)

    def ways(self, sign_in: SignIn) -> tuple[str, ...]:
        here = "SSH_CONNECTION" not in os.environ and _graphical()
        return ("browser", "device", "paste") if here else ("device", "paste")

    def offers(self, sign_in: SignIn) -> bool:
        return False

    def callback(self, sign_in: SignIn, secret: str, redirect_uri: str | None) -> Receiver:
        no_callback()

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        end = math.inf if timeout is None else time.monotonic() + timeout
        asked: set[str | None] = set()
        while not sign_in.ended.is_set() and (left := end - time.monotonic()) > 0:
            sign_in.ended.wait(min(TURN, left))
            if wants_an_address(sign_in) and sign_in.authorize_url not in asked:
                address = sign_in.authorize_url
                if ask_for_address(sign_in, self._print):
                    asked.add(address)

    async def wait_async(self, sign_in: SignIn) -> None:
        while not sign_in.ended.is_set():
            await asyncio.sleep(TURN / 2)

    def say(self, text: str) -> None:
        self._print([plain(text)])

    def ask(self, prompt: str) -> str:
        return getpass.getpass(prompt)

    def _print(self, lines: Iterable[str]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal has gone
            print(*lines, sep="\n", file=sys.stderr, flush=True)


def wants_an_address(sign_in: SignIn) -> bool:
    """Whether it waits for the person to bring the address at which the browser ended."""
    return sign_in.flow == "paste" and sign_in.authorize_url is not None


def ask_for_address(sign_in: SignIn, show: Callable[[Iterable[str]], None]) -> bool:
    """Ask for it once, unseen and unrecorded; whether the sign-in took what was typed."""
    text = getpass.getpass(PASTE_PROMPT)
    try:
        sign_in.submit(text)
    except ConfigurationError as error:
        if sign_in.state == "waiting":
            show([plain(error), plain(error.hint)])
        return False
    return True


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _graphical() -> bool:
    """Whether a browser with windows can be opened here."""
    if sys.platform not in {"darwin", "win32"} and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        return webbrowser.get() is not None
    except webbrowser.Error:
        return False
