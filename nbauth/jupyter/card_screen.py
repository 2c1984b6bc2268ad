"""The screen of a notebook whose kernel is not ipykernel (xeus-python): a card of plain HTML.

nbauth cannot read the messages of such a kernel while a cell runs. So the buttons of a panel would
have no effect, and a Jupyter server could not pass on the authorization response. Device codes and
pasted addresses need neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import DEVICE, PASTE
from nbauth.jupyter.card import Card
from nbauth.jupyter.kernel_screen import KernelScreen, flows_here, print_lines
from nbauth.jupyter.sigint import Sigint
from nbauth.jupyter.terminal import wait_and_ask, wait_async

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending, Receiver


class CardScreen(KernelScreen):
    """See :class:`nbauth.kernel.sign_in.protocol.Screen`."""

    def __init__(self, session: Session, running: Any) -> None:
        super().__init__(session, running)
        self._sigint = Sigint()

    def show(self, sign_in: Pending) -> None:
        card = Card()
        sign_in.changed.connect(card.show)
        card.show(sign_in)

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        return flows_here([])

    def offers(self, sign_in: Pending) -> bool:
        return False

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        raise FlowUnavailable(
            "This kernel reads no messages while a cell runs, so a Jupyter server cannot pass the"
            " provider's response to it.",
            hint=f"Use %login --flow {DEVICE} or %login --flow {PASTE}, or a kernel that uses"
            " ipykernel.",
            suggested_flow=DEVICE,
        )

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        with self._sigint.noted() as stopped, _interrupted_if(stopped):
            wait_and_ask(sign_in, print_lines, timeout, stopped)

    async def wait_async(self, sign_in: Pending) -> None:
        with self._sigint.noted() as stopped:
            await wait_async(sign_in, stopped)

    def ask(self, prompt: str) -> str:
        with self._sigint.noted() as stopped, _interrupted_if(stopped):
            return super().ask(prompt)


@contextmanager
def _interrupted_if(stopped: Callable[[], bool]) -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` for a question that the stop button has ended."""
    try:
        yield
    except RuntimeError:
        if stopped():
            raise KeyboardInterrupt from None
        raise
