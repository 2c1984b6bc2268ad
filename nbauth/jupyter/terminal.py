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

from nbauth.core.errors import NbAuthError
from nbauth.core.output import fitting
from nbauth.core.steps import Done, OpenBrowser, ReceiverKind, ShowUserCode
from nbauth.core.text import plain, web_address
from nbauth.jupyter.display import lines_for
from nbauth.kernel.sign_in.handed_in import check_pasted
from nbauth.kernel.sign_in.no_screen import no_callback

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.protocol import Pending, Receiver

TURN = 0.1
"""Seconds after which a waiting terminal looks up, so that Ctrl-C is heard."""
PASTE_PROMPT = "Address at which the browser ended (not shown as you paste it): "


class TerminalScreen:
    """See :class:`nbauth.kernel.sign_in.protocol.Screen`.

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

    def show(self, sign_in: Pending) -> None:
        told: set[object] = set()

        def look(sign_in: Pending) -> None:
            step = sign_in.step
            if not isinstance(step, ShowUserCode | OpenBrowser | Done) or step in told:
                return  # a failure is told by the error that the call raises
            told.add(step)
            self._print(lines_for(sign_in))
            opens = isinstance(step, OpenBrowser) and web_address(step.authorize_url)
            if opens and opens not in told and self._open_browser and _graphical():
                told.add(opens)
                with contextlib.suppress(webbrowser.Error, OSError):
                    webbrowser.open(opens)

        sign_in.changed.connect(look)
        look(sign_in)

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        from nbauth.core.flow_names import BROWSER, DEVICE
        from nbauth.oauth.flows import flows_for

        here = "SSH_CONNECTION" not in os.environ and _graphical()
        works = flows_for([ReceiverKind.LOOPBACK] if here else [])
        return tuple(way for way in dict.fromkeys((BROWSER, DEVICE, *works)) if way in works)

    def offers(self, sign_in: Pending) -> bool:
        return False

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        no_callback()

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        end = math.inf if timeout is None else time.monotonic() + timeout
        asked: set[OpenBrowser | None] = set()
        while not sign_in.ended.is_set() and (left := end - time.monotonic()) > 0:
            sign_in.ended.wait(min(TURN, left))
            wanted = address_wanted(sign_in)
            open_question = wanted is not None and wanted not in asked
            if open_question and ask_for_address(sign_in, self._print):
                asked.add(wanted)

    async def wait_async(self, sign_in: Pending) -> None:
        while not sign_in.ended.is_set():
            await asyncio.sleep(TURN / 2)

    def say(self, text: str) -> None:
        self._print([plain(text)])

    def ask(self, prompt: str) -> str:
        return asked_unseen(prompt) or ""

    def _print(self, lines: Iterable[str]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal has gone
            print(fitting("\n".join(lines), sys.stderr), file=sys.stderr, flush=True)


def asked_unseen(prompt: str) -> str | None:
    """What the person types, which is shown nowhere; ``None`` if they end the input (Ctrl-D)."""
    try:
        return getpass.getpass(prompt)
    except EOFError:
        return None


def address_wanted(sign_in: Pending) -> OpenBrowser | None:
    """The step that waits for the person to bring the address at which the browser ended."""
    step = sign_in.step
    return step if isinstance(step, OpenBrowser) and step.paste else None


def ask_for_address(sign_in: Pending, show: Callable[[Iterable[str]], None]) -> bool:
    """Ask for it once, unseen and unrecorded; whether that is settled.

    It is once the sign-in has taken what was typed, or the person has ended the input (Ctrl-D).
    """
    text = asked_unseen(PASTE_PROMPT)
    if text is None:
        sign_in.cancel()
        return True
    try:
        check_pasted(text)
        sign_in.submit(text)
    except NbAuthError as error:
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
