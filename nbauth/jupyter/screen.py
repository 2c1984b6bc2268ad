"""The notebook as a screen: a panel under the cell, plain HTML where there are no widgets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from nbauth.jupyter import waiting
from nbauth.jupyter.environment import kernel, somebody_watches
from nbauth.kernel.screen import Screen

if TYPE_CHECKING:
    from nbauth.jupyter.panel import SignInPanel
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

    def same_machine(self, sign_in: SignIn) -> bool:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not sign_in.ended.is_set():
            for panel in list(self._panels):
                if panel.sign_in is sign_in:
                    return panel.same_machine(end - time.monotonic())
            time.sleep(0.01)  # a panel whose button began it is about to take it
        return False

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        waiting.wait(self._kernel, sign_in.ended, self._comm_ids, timeout=timeout)

    async def wait_async(self, sign_in: SignIn) -> None:
        await waiting.wait_async(self._kernel, sign_in.ended, self._comm_ids)

    def say(self, text: str) -> None:
        print(text)

    def _comm_ids(self) -> set[str]:
        return {panel.comm_id for panel in list(self._panels)}


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
        from IPython.display import HTML, display

        from nbauth.jupyter.display import html_for

        card = HTML(html_for(sign_in))
        if self._shown is None:
            self._shown = display(card, display_id=True)
        else:
            self._shown.update(card)


class Screens:
    """Gives the screen of this process, as it is at each call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._notebook: NotebookScreen | None = None

    def __call__(self) -> Screen:
        running = kernel()
        if running is None:
            from nbauth.jupyter.display import TerminalScreen

            return TerminalScreen(open_browser=self._session.settings().open_browser is None)
        if self._notebook is None:
            self._notebook = NotebookScreen(self._session, running)
        return self._notebook
