"""Shows sign-ins in a terminal: Python or IPython without a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nbauth.core.errors import NbAuthError
from nbauth.core.flow_names import AUTO
from nbauth.core.output import fitting
from nbauth.core.steps import AskPassword, Done, OpenBrowser, ReceiverKind, ShowUserCode
from nbauth.core.text import visible, web_address
from nbauth.jupyter.display import lines_for
from nbauth.jupyter.hidden_input import read_hidden, timeout_after
from nbauth.jupyter.places.obstacles import in_process
from nbauth.kernel.sign_in.browsers import open_window, with_windows
from nbauth.kernel.sign_in.handed_in import check_pasted
from nbauth.kernel.sign_in.no_screen import no_callback
from nbauth.kernel.sign_in.request import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from nbauth.core.person import Obstacle
    from nbauth.kernel.sign_in.protocol import Pending, Receiver

TURN = 0.1
"""Seconds between two checks of a wait, so that Ctrl-C takes effect."""
Question = OpenBrowser | AskPassword
"""The steps that a person answers by typing."""
PASTE_PROMPT = "Address of the last page (it is not shown when you paste it): "


class TerminalScreen:
    """See :class:`nbauth.kernel.sign_in.protocol.Screen`.

    Args:
        open_browser: whether it may open a browser.
        attended: the setting ``attended``.
        timeout: the setting ``timeout``: seconds that the person has to type a secret.
    """

    def __init__(
        self,
        *,
        open_browser: bool = True,
        attended: bool | str = AUTO,
        timeout: float | None = None,
    ) -> None:
        self._open_browser = open_browser
        self._timeout = timeout
        self._attended = attended

    def attended(self) -> bool:
        return self.obstacle() is None

    def obstacle(self) -> Obstacle | None:
        return in_process(sys.stdin, sys.stderr, self._attended)

    def show(self, sign_in: Pending) -> None:
        told: set[object] = set()

        def look(sign_in: Pending) -> None:
            step = sign_in.step
            if (
                not isinstance(step, ShowUserCode | OpenBrowser | AskPassword | Done)
                or step in told
            ):
                return  # after a failure, the call raises the error
            told.add(step)
            self._print(lines_for(sign_in))
            opens = isinstance(step, OpenBrowser) and web_address(step.authorize_url)
            wanted = opens and opens not in told and self._open_browser
            if opens and wanted and (browser := _graphical()) is not None:
                told.add(opens)
                with contextlib.suppress(webbrowser.Error, OSError):
                    open_window(browser, opens)

        sign_in.changed.connect(look)
        look(sign_in)

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        from nbauth.core.flow_names import BROWSER, DEVICE
        from nbauth.oauth.flows import flows_for

        here = "SSH_CONNECTION" not in os.environ and _graphical() is not None
        works = flows_for([ReceiverKind.LOOPBACK] if here else [])
        return tuple(way for way in dict.fromkeys((BROWSER, DEVICE, *works)) if way in works)

    def offers(self, sign_in: Pending) -> bool:
        return False

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        no_callback()

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        wait_and_ask(sign_in, self._print, timeout)

    async def wait_async(self, sign_in: Pending) -> None:
        await wait_async(sign_in)

    def say(self, text: str) -> None:
        self._print([visible(text)])

    def ask(self, prompt: str) -> str:
        return ask_for_secret(prompt, self._timeout)

    def _print(self, lines: Iterable[str]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is closed
            print(fitting("\n".join(lines), sys.stderr), file=sys.stderr, flush=True)


def wait_and_ask(
    sign_in: Pending,
    show: Callable[[Iterable[str]], None],
    timeout: float | None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Wait for the end of a sign-in, and ask for the address or the password that it needs.

    ``show`` prints the errors of a wrong answer. Raises ``KeyboardInterrupt`` once ``stopped`` is
    true.
    """
    end = math.inf if timeout is None else time.monotonic() + timeout
    asked: set[Question] = set()
    while not sign_in.ended.is_set() and (left := end - time.monotonic()) > 0:
        sign_in.ended.wait(min(TURN, left))
        if stopped():
            raise KeyboardInterrupt
        wanted = question_of(sign_in)
        if wanted is None or wanted in asked or sign_in.ended.is_set():
            continue
        if ask_person(sign_in, wanted, show, until=end):
            asked.add(wanted)


async def wait_async(sign_in: Pending, stopped: Callable[[], bool] = lambda: False) -> None:
    """Wait for the end of a sign-in in an event loop.

    Raises ``CancelledError`` once ``stopped`` is true: a ``KeyboardInterrupt`` in a task would end
    the event loop.
    """
    while not sign_in.ended.is_set():
        if stopped():
            raise asyncio.CancelledError("interrupted")
        await asyncio.sleep(TURN / 2)


def ask_for_secret(prompt: str, timeout: float | None) -> str:
    """The text that the person types without echo; ``""`` after Ctrl-D or the time limit."""
    try:
        return read_hidden(prompt, timeout_after(DEFAULT_TIMEOUT if timeout is None else timeout))
    except (EOFError, TimeoutError):
        return ""


def question_of(sign_in: Pending) -> Question | None:
    """The present step, if it waits for the address of the last page or for a password."""
    match sign_in.step:
        case OpenBrowser(paste=True) | AskPassword() as step:
            return step
    return None


def ask_person(
    sign_in: Pending,
    question: Question,
    show: Callable[[Iterable[str]], None],
    *,
    until: float = math.inf,
) -> bool:
    """Ask once, without echo. Returns whether the question need not be asked again.

    That is the case if the sign-in has accepted the answer or goes on without it, or after Ctrl-D.
    ``until`` is the end of the caller's time, on the monotonic clock.
    """

    def given_up() -> bool:
        over = sign_in.ended.is_set() or time.monotonic() >= until
        return over or sign_in.step is not question

    try:
        if isinstance(question, AskPassword):
            name = _name(question, given_up)
            password = read_hidden(f"Password for {visible(name)}: ", given_up)
            sign_in.enter(name, password)
        else:
            address = read_hidden(PASTE_PROMPT, given_up)
            check_pasted(address)
            sign_in.submit(address)
    except EOFError:
        sign_in.cancel()
    except TimeoutError:
        return sign_in.ended.is_set() or sign_in.step is not question
    except NbAuthError as error:
        if sign_in.state == "waiting":
            show([visible(error), visible(error.hint)])
        return False
    return True


def _name(question: AskPassword, given_up: Callable[[], bool]) -> str:
    """The user name: the known one, unless the provider has refused it."""
    known = question.username
    if known and question.refusal is None:
        return known
    suffix = f" [{visible(known)}]" if known else ""
    return read_hidden(f"User name{suffix}: ", given_up, echo=True) or known


def _graphical() -> webbrowser.BaseBrowser | None:
    """A graphical browser that can be opened here."""
    if sys.platform not in {"darwin", "win32"} and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return None
    return with_windows()
