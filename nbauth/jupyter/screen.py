"""The notebook as a screen: a panel under the cell, plain HTML where there are no widgets."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from nbauth.jupyter.ipykernel import waiting
from nbauth.jupyter.places.environment import kernel, somebody_watches
from nbauth.kernel.screen import Screen

if TYPE_CHECKING:
    from nbauth.jupyter.page import Page
    from nbauth.jupyter.panel import SignInPanel
    from nbauth.kernel.driver import Receiver
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in import SignIn

PATIENCE = 5.0
"""Seconds a front end has to bring a panel to life before plain HTML stands in for it."""


class NotebookScreen:
    """Shows sign-ins under the running cell. See :class:`nbauth.kernel.screen.Screen`."""

    def __init__(self, session: Session, running: Any) -> None:
        self._session = session
        self._kernel = running
        self._panels: WeakSet[SignInPanel] = WeakSet()

    @property
    def page(self) -> Page | None:
        """Where the notebook is shown, once a panel's browser has said it."""
        return next((panel.page for panel in list(self._panels) if panel.page), None)

    def attended(self) -> bool:
        return somebody_watches(self._kernel)

    def show(self, sign_in: SignIn) -> None:
        from IPython.display import display

        from nbauth.jupyter.panel import SignInPanel

        panel = self.adopt(SignInPanel(self._session, sign_in.again, sign_in))
        stand_in = _StandIn(panel)
        sign_in.observe(stand_in.look)
        display(panel)

    def adopt(self, panel: SignInPanel) -> SignInPanel:
        """Let a panel answer while a cell waits."""
        self._panels.add(panel)
        return panel

    def ways(self, sign_in: SignIn) -> tuple[str, ...]:
        """What the panel's browser can see decides; where there is none, what the place is."""
        from nbauth.jupyter.places.environment import place

        panel = self._panel_of(sign_in, PATIENCE)
        works = {"device", "paste"}
        if panel is not None:
            seen = panel.look(PATIENCE)
            works |= {"browser"} if seen.same_machine else set()
            works |= {"callback"} if seen.callback else set()
        known = ("browser", *place().ways, "callback", "device", "paste")
        return tuple(way for way in dict.fromkeys(known) if way in works)

    def offers(self, sign_in: SignIn) -> bool:
        return self._panel_of(sign_in, 0) is not None

    def callback(self, sign_in: SignIn, secret: str, redirect_uri: str | None) -> Receiver:
        from nbauth.jupyter.callback import CallbackReceiver, callback_address

        self._panel_of(sign_in, PATIENCE)  # its browser knows the address
        address, server_name = callback_address(self.page, os.environ, redirect_uri)
        return CallbackReceiver(self._kernel, secret, redirect_uri=address, server_name=server_name)

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        asking = _AskForAddress(self, sign_in)
        waiting.wait(
            self._kernel,
            sign_in.ended,
            self._comm_ids,
            timeout=timeout,
            meanwhile=asking.look,
        )

    async def wait_async(self, sign_in: SignIn) -> None:
        await waiting.wait_async(self._kernel, sign_in.ended, self._comm_ids)

    def say(self, text: str) -> None:
        print(text)

    def ask(self, prompt: str) -> str:
        return getpass.getpass(prompt)

    def _comm_ids(self) -> set[str]:
        return {panel.comm_id for panel in list(self._panels)}

    def _panel_of(self, sign_in: SignIn, patience: float) -> SignInPanel | None:
        """A panel that shows the sign-in in a browser, now or within ``patience`` seconds."""
        end = time.monotonic() + patience
        while not sign_in.ended.is_set():
            for panel in list(self._panels):
                if panel.sign_in is sign_in and panel.ready.is_set():
                    return panel
            if time.monotonic() >= end:
                break
            time.sleep(0.01)  # a panel whose button began it is about to take it
        return None


class _StandIn:
    """Plain HTML for a panel that no front end has brought to life in time."""

    def __init__(self, panel: SignInPanel) -> None:
        self._panel = panel
        self._shown: Any = None
        self._began = time.monotonic()

    def look(self, sign_in: SignIn) -> None:
        """Show, or bring up to date, what the sign-in has to say; the code goes at its end."""
        if self._panel.ready.is_set() and self._shown is None:
            return
        if self._shown is None and time.monotonic() - self._began < PATIENCE - 0.5:
            return
        from IPython.display import display

        from nbauth.jupyter.display import html_for, lines_for

        card = {"text/html": html_for(sign_in), "text/plain": "\n".join(lines_for(sign_in))}
        if self._shown is None:
            self._shown = display(card, raw=True, display_id=True)
        else:
            self._shown.update(card, raw=True)


class _AskForAddress:
    """Asks by the notebook's input field for what the panel's paste box would take."""

    def __init__(self, screen: NotebookScreen, sign_in: SignIn) -> None:
        self._screen = screen
        self._sign_in = sign_in
        self._began = time.monotonic()
        self._asked: set[str | None] = set()

    def look(self) -> None:
        """Ask, if the sign-in wants an address and no panel has come to life."""
        from nbauth.jupyter.terminal import ask_for_address, wants_an_address

        sign_in, address = self._sign_in, self._sign_in.authorize_url
        if not wants_an_address(sign_in) or address in self._asked:
            return
        if time.monotonic() - self._began < PATIENCE or self._screen.offers(sign_in):
            return
        if ask_for_address(sign_in, _print):
            self._asked.add(address)


def _print(lines: Iterable[str]) -> None:
    print(*lines, sep="\n")


class Screens:
    """Gives the screen of this process, as it is at each call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._notebook: NotebookScreen | None = None

    def __call__(self) -> Screen:
        running = kernel()
        if running is None:
            from nbauth.jupyter.terminal import TerminalScreen

            return TerminalScreen(open_browser=self._session.settings().open_browser is None)
        if self._notebook is None:
            self._notebook = NotebookScreen(self._session, running)
        return self._notebook
