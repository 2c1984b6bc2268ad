"""Shows sign-ins in a notebook: as a panel in the cell's output, or as HTML without widgets."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from nbauth.core.steps import ReceiverKind
from nbauth.jupyter.displayed_panel import PATIENCE, DisplayedPanel, show_again
from nbauth.jupyter.in_view import InView
from nbauth.jupyter.ipykernel import waiting
from nbauth.jupyter.ipykernel.stop_button import defer_interrupts
from nbauth.jupyter.kernel_screen import KernelScreen, flows_here, print_lines
from nbauth.kernel.unattended import is_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbauth.jupyter.ipykernel.requests import CellRequest
    from nbauth.jupyter.panel.page import Page
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.jupyter.terminal import Question
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending, Receiver

KEPT_PANELS = 5
"""How many panels stay after their sign-in has ended. Older ones are replaced by a line of text."""
WAITS = (
    "This cell waits for a sign-in that began elsewhere and can't be shown here. To stop waiting,"
    " interrupt the kernel."
)


class NotebookScreen(KernelScreen):
    """Shows sign-ins in the running cell. See :class:`nbauth.kernel.sign_in.protocol.Screen`."""

    def __init__(self, session: Session, running: Any) -> None:
        super().__init__(session, running)
        self._panels: WeakSet[SignInPanel] = WeakSet()
        self._shown: list[DisplayedPanel] = []
        self._lock = threading.Lock()  # guards _shown; held only while _shown is read or changed

    @property
    def page(self) -> Page | None:
        """The page that shows the notebook, after the browser of a panel has sent it."""
        return next((panel.page for panel in list(self._panels) if panel.page), None)

    def show(self, sign_in: Pending) -> None:
        from nbauth.jupyter.panel.panel import SignInPanel

        with defer_interrupts():  # an interrupt while a message is sent would be lost
            panel = self.adopt(SignInPanel(self._session, sign_in.again, sign_in))
            try:
                shown = DisplayedPanel(panel, sign_in)
            except BaseException:  # it is not displayed, so no other code closes it
                panel.close_quietly()
                raise
            with self._lock:
                self._shown.append(shown)
            self._limit_panels()

    def show_in_cell(self, sign_in: Pending) -> bool:
        """Show a sign-in in the running cell, which waits for it but does not show it yet.

        Where it cannot be shown, a line says what the cell waits for. A sign-in that asks nobody is
        not shown. Returns whether it is shown.
        """
        if sign_in.request.web_ui is not None or is_service(sign_in.request.first_flow):
            return False
        if not self.attended():
            if threading.current_thread() is threading.main_thread():
                self.say(WAITS)
            return False
        self.show(sign_in)
        return True

    def show_again(
        self, panel: SignInPanel, request: CellRequest, beside: Sequence[Any] = ()
    ) -> None:
        """Show another view of a panel of this screen, in the output of that request's cell."""
        with self._lock:
            known = self._shown.copy()
        ids = [shown.display_id for shown in known if shown.panel is panel]
        show_again(panel, request, next(iter(ids), "") or f"nbauth-{panel.comm_id}", beside)

    def showing(self, sign_in: Pending) -> list[SignInPanel]:
        """The panels that show the sign-in."""
        panels = list(self._panels)
        return [panel for panel in panels if panel.sign_in is sign_in and not panel.closed]

    def adopt(self, panel: SignInPanel) -> SignInPanel:
        """Let a panel handle its messages while a cell waits."""
        self._panels.add(panel)
        return panel

    def _limit_panels(self) -> None:
        """Replace the oldest panels whose sign-in has ended by a line, to limit their number."""
        with self._lock:
            over = self._taken_out()
        for shown in over:
            shown.replace()

    def _taken_out(self) -> list[DisplayedPanel]:
        over = [shown for shown in self._shown if shown.panel.is_idle][:-KEPT_PANELS]
        self._shown = [shown for shown in self._shown if shown not in over]
        return over

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        """The usable flows. The panel's browser finds them; without a panel, the place decides."""
        panel = self._panel_of(sign_in, PATIENCE)
        reached: set[ReceiverKind] = set()
        if panel is not None:
            seen = panel.probe(PATIENCE)
            reached |= {ReceiverKind.LOOPBACK} if seen.same_machine else set()
            reached |= {ReceiverKind.JUPYTER_SERVER} if seen.callback else set()
        return flows_here(reached)

    def offers(self, sign_in: Pending) -> bool:
        return self._panel_of(sign_in, 0) is not None

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        from nbauth.kernel.sign_in.receivers.callback_address import callback_address
        from nbauth.kernel.sign_in.receivers.jupyter_server import CallbackReceiver

        self._panel_of(sign_in, PATIENCE)  # its browser sends the address
        address, server_name = callback_address(self.page, os.environ, redirect_uri)
        return CallbackReceiver(self._kernel, secret, redirect_uri=address, server_name=server_name)

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        asking, in_view = (
            _AskWithoutPanel(self, sign_in, timeout),
            InView(self, self._kernel, sign_in),
        )

        def update() -> None:
            in_view.update()
            asking.update()

        try:
            waiting.wait(
                self._kernel,
                sign_in.ended,
                self._comm_ids,
                timeout=timeout,
                meanwhile=update,
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
            meanwhile=in_view.update,
            queued=in_view.queued,
        )

    def _comm_ids(self) -> set[str]:
        return {panel.comm_id for panel in list(self._panels)}

    def _panel_of(self, sign_in: Pending, patience: float) -> SignInPanel | None:
        """A panel that a browser shows, now or within ``patience`` seconds."""
        end = time.monotonic() + patience
        while not sign_in.ended.is_set():
            for panel in self.showing(sign_in):
                if panel.ready.is_set():
                    return panel
            if time.monotonic() >= end:
                break
            time.sleep(0.01)  # the panel whose button began the sign-in may not show it yet
        return None


class _AskWithoutPanel:
    """Asks in the notebook's input field for what the sign-in needs, if no panel can ask."""

    def __init__(self, screen: NotebookScreen, sign_in: Pending, timeout: float | None) -> None:
        self._screen = screen
        self._sign_in = sign_in
        self._began = time.monotonic()
        self._until = math.inf if timeout is None else self._began + timeout
        self._asked: set[Question] = set()

    def update(self) -> None:
        """Ask if the sign-in needs an answer and no browser shows a panel."""
        from nbauth.jupyter.terminal import ask_person, question_of

        wanted = question_of(self._sign_in)
        if wanted is None or wanted in self._asked:
            return
        if time.monotonic() - self._began < PATIENCE or self._screen.offers(self._sign_in):
            return
        if ask_person(self._sign_in, wanted, print_lines, until=self._until):
            self._asked.add(wanted)
