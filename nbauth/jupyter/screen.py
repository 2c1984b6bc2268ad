"""The notebook as a screen: a panel under the cell, plain HTML where there are no widgets."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from nbauth.core.output import fitting
from nbauth.core.steps import OpenBrowser, ReceiverKind
from nbauth.jupyter.in_view import InView
from nbauth.jupyter.ipykernel import waiting
from nbauth.jupyter.ipykernel.stop_button import held_back
from nbauth.jupyter.places.obstacles import in_kernel
from nbauth.jupyter.shown import PATIENCE, Shown, show_again

if TYPE_CHECKING:
    from nbauth.core.person import Obstacle
    from nbauth.jupyter.ipykernel.requests import CellRequest
    from nbauth.jupyter.panel.page import Page
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending, Receiver

LIVING = 5
"""Panels that stay alive after their sign-in has ended; older ones become a line of text."""


class NotebookScreen:
    """Shows sign-ins under the running cell. See :class:`nbauth.kernel.sign_in.protocol.Screen`."""

    def __init__(self, session: Session, running: Any) -> None:
        self._session = session
        self._kernel = running
        self._panels: WeakSet[SignInPanel] = WeakSet()
        self._shown: list[Shown] = []
        self._lock = threading.Lock()  # of what is shown; nothing is called while it is held

    @property
    def page(self) -> Page | None:
        """Where the notebook is shown, once a panel's browser has said it."""
        return next((panel.page for panel in list(self._panels) if panel.page), None)

    def attended(self) -> bool:
        return self.obstacle() is None

    def obstacle(self) -> Obstacle | None:
        return in_kernel(self._kernel, self._session.settings().attended)

    def show(self, sign_in: Pending) -> None:
        from nbauth.jupyter.panel.panel import SignInPanel

        with held_back():  # an interrupt in the middle of a message would be dropped with it
            panel = self.adopt(SignInPanel(self._session, sign_in.again, sign_in))
            try:
                shown = Shown(panel, sign_in)
            except BaseException:  # nobody sees it, so nobody would close it
                panel.close_quietly()
                raise
            with self._lock:
                self._shown.append(shown)
            self._retire()

    def show_in_cell(self, sign_in: Pending) -> None:
        """Show it in the running cell, which waits for it and has not shown it."""
        if sign_in.request.web_ui is None and self.attended():
            self.show(sign_in)

    def show_again(self, panel: SignInPanel, place: CellRequest) -> None:
        """Show another view of a panel of this screen, under the cell of that request."""
        with self._lock:
            known = self._shown.copy()
        ids = [shown.display_id for shown in known if shown.panel is panel]
        show_again(panel, place, next(iter(ids), "") or f"nbauth-{panel.comm_id}")

    def showing(self, sign_in: Pending) -> list[SignInPanel]:
        """The panels that show it."""
        return [panel for panel in list(self._panels) if panel.sign_in is sign_in]

    def adopt(self, panel: SignInPanel) -> SignInPanel:
        """Let a panel answer while a cell waits."""
        self._panels.add(panel)
        return panel

    def _retire(self) -> None:
        """Turn the oldest panels whose sign-in has ended into a line, so that they don't add up."""
        with self._lock:
            over = self._taken_out()
        for shown in over:
            shown.retire()

    def _taken_out(self) -> list[Shown]:
        over = [shown for shown in self._shown if shown.panel.is_idle][:-LIVING]
        self._shown = [shown for shown in self._shown if shown not in over]
        return over

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        """What the panel's browser can see decides; where there is none, what the place is."""
        from nbauth.core.flow_names import BROWSER
        from nbauth.jupyter.places.environment import place
        from nbauth.oauth.flows import FLOWS, flows_for

        panel = self._panel_of(sign_in, PATIENCE)
        reached: set[ReceiverKind] = set()
        if panel is not None:
            seen = panel.look(PATIENCE)
            reached |= {ReceiverKind.LOOPBACK} if seen.same_machine else set()
            reached |= {ReceiverKind.JUPYTER_SERVER} if seen.callback else set()
        works = flows_for(reached)
        return tuple(w for w in dict.fromkeys((BROWSER, *place().ways, *FLOWS)) if w in works)

    def offers(self, sign_in: Pending) -> bool:
        return self._panel_of(sign_in, 0) is not None

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        from nbauth.kernel.sign_in.receivers.callback_address import callback_address
        from nbauth.kernel.sign_in.receivers.jupyter_server import CallbackReceiver

        self._panel_of(sign_in, PATIENCE)  # its browser knows the address
        address, server_name = callback_address(self.page, os.environ, redirect_uri)
        return CallbackReceiver(self._kernel, secret, redirect_uri=address, server_name=server_name)

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        asking, in_view = (
            _AskForAddress(self, sign_in, timeout),
            InView(self, self._kernel, sign_in),
        )

        def look() -> None:
            in_view.look()
            asking.look()

        try:
            waiting.wait(
                self._kernel,
                sign_in.ended,
                self._comm_ids,
                timeout=timeout,
                meanwhile=look,
                queued=in_view.queued,
            )
        except BaseException:
            in_view.stopped()
            raise

    async def wait_async(self, sign_in: Pending) -> None:
        in_view = InView(self, self._kernel, sign_in)
        await waiting.wait_async(
            self._kernel,
            sign_in.ended,
            self._comm_ids,
            meanwhile=in_view.look,
            queued=in_view.queued,
        )

    def say(self, text: str) -> None:
        _print([text])

    def ask(self, prompt: str) -> str:
        from nbauth.jupyter.terminal import ask_for_secret

        return ask_for_secret(prompt, self._session.settings().timeout)

    def _comm_ids(self) -> set[str]:
        return {panel.comm_id for panel in list(self._panels)}

    def _panel_of(self, sign_in: Pending, patience: float) -> SignInPanel | None:
        """A panel that shows the sign-in in a browser, now or within ``patience`` seconds."""
        end = time.monotonic() + patience
        while not sign_in.ended.is_set():
            for panel in self.showing(sign_in):
                if panel.ready.is_set():
                    return panel
            if time.monotonic() >= end:
                break
            time.sleep(0.01)  # a panel whose button began it is about to take it
        return None


class _AskForAddress:
    """Asks by the notebook's input field for what the panel's paste box would take."""

    def __init__(self, screen: NotebookScreen, sign_in: Pending, timeout: float | None) -> None:
        self._screen = screen
        self._sign_in = sign_in
        self._began = time.monotonic()
        self._until = math.inf if timeout is None else self._began + timeout
        self._asked: set[OpenBrowser] = set()

    def look(self) -> None:
        """Ask, if the sign-in wants an address and no panel has come to life."""
        from nbauth.jupyter.terminal import address_wanted, ask_for_address

        wanted = address_wanted(self._sign_in)
        if wanted is None or wanted in self._asked:
            return
        if time.monotonic() - self._began < PATIENCE or self._screen.offers(self._sign_in):
            return
        if ask_for_address(self._sign_in, _print, until=self._until):
            self._asked.add(wanted)


def _print(lines: Iterable[str]) -> None:
    print(fitting("\n".join(lines)))
