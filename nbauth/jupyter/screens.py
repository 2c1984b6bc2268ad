"""Selects the screen of this process, again for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbauth.jupyter.ipykernel.channels import is_ipykernel
from nbauth.jupyter.places.environment import kernel

if TYPE_CHECKING:
    from nbauth.core.person import Obstacle
    from nbauth.jupyter.card_screen import CardScreen
    from nbauth.jupyter.panel.page import Page
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.jupyter.screen import NotebookScreen
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending, Receiver, Screen


class Screens:
    """Forwards each call to the screen that the process has at that time.

    See :class:`nbauth.kernel.sign_in.protocol.Screen`.
    """

    def __init__(self) -> None:
        self._session: Session | None = None
        self._notebook: NotebookScreen | CardScreen | None = None
        self._nobody = False

    def serve(self, session: Session) -> None:
        """Show the sign-ins of this session."""
        self._session = session

    def forked(self) -> None:
        """Note that this is a forked child, whose parent has the notebook."""
        self._nobody = True

    @property
    def here(self) -> Screen:
        """The present screen."""
        running = None if self._nobody else kernel()
        if self._nobody or self._session is None:
            from nbauth.jupyter.places.obstacles import IN_A_CHILD
            from nbauth.kernel.sign_in.no_screen import NoScreen

            return NoScreen(IN_A_CHILD) if self._nobody else NoScreen()
        if running is None:
            from nbauth.jupyter.terminal import TerminalScreen

            settings = self._session.settings()
            return TerminalScreen(
                open_browser=settings.open_browser is None,
                attended=settings.attended,
                timeout=settings.timeout,
            )
        if self._notebook is None:
            self._notebook = _of_notebook(self._session, running)
        return self._notebook

    @property
    def page(self) -> Page | None:
        """The page that shows the notebook, after the browser of a panel has sent it."""
        return getattr(self.here, "page", None)

    def adopt(self, panel: SignInPanel) -> SignInPanel:
        """Let a panel handle its messages while a cell waits, if there is a notebook."""
        here = self.here
        from nbauth.jupyter.screen import NotebookScreen

        return here.adopt(panel) if isinstance(here, NotebookScreen) else panel

    def attended(self) -> bool:
        return self.here.attended()

    def obstacle(self) -> Obstacle | None:
        return self.here.obstacle()

    def show(self, sign_in: Pending) -> None:
        self.here.show(sign_in)

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        return self.here.ways(sign_in)

    def offers(self, sign_in: Pending) -> bool:
        return self.here.offers(sign_in)

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        return self.here.callback(sign_in, secret, redirect_uri)

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        self.here.wait(sign_in, timeout)

    async def wait_async(self, sign_in: Pending) -> None:
        await self.here.wait_async(sign_in)

    def say(self, text: str) -> None:
        self.here.say(text)

    def ask(self, prompt: str) -> str:
        return self.here.ask(prompt)


def _of_notebook(session: Session, running: Any) -> NotebookScreen | CardScreen:
    if is_ipykernel(running):
        from nbauth.jupyter.screen import NotebookScreen

        return NotebookScreen(session, running)
    from nbauth.jupyter.card_screen import CardScreen

    return CardScreen(session, running)
