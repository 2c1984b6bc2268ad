"""A panel in the output of a cell, and the output that replaces it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nbauth.jupyter.card import Card

if TYPE_CHECKING:
    from nbauth.jupyter.ipykernel.requests import CellRequest
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.kernel.sign_in.protocol import Pending

PATIENCE = 5.0
"""Seconds that a front end has to show a panel. After that the sign-in is shown as plain HTML."""


class DisplayedPanel:
    """A panel in the output of a cell. A line of text can replace it."""

    def __init__(self, panel: SignInPanel, sign_in: Pending) -> None:
        from IPython.display import display

        self.panel = panel
        self._sign_in = sign_in
        self._fallback = _CardFallback(panel)
        self._output = display(panel, display_id=True)
        sign_in.changed.connect(self._fallback.update)

    @property
    def display_id(self) -> str:
        """The id with which its output is updated; ``""`` if there is none."""
        return "" if self._output is None else str(self._output.display_id)

    def replace(self) -> None:
        """Close the panel, and replace it in the output by a line."""
        self._sign_in.changed.disconnect(self._fallback.update)
        line = "This sign-in has ended; a newer panel shows who is signed in."
        if self._output is not None:
            data = {"text/plain": line, "text/html": f"<div>{line}</div>"}
            self._output.update(data, raw=True)
        self.panel.close_quietly()


class _CardFallback:
    """Shows the sign-in as a card if no front end shows the panel in time."""

    def __init__(self, panel: SignInPanel) -> None:
        self._panel = panel
        self._card = Card()
        self._began = time.monotonic()

    def update(self, sign_in: Pending) -> None:
        """Display or update the card."""
        in_time = time.monotonic() - self._began < PATIENCE - 0.5
        if not self._card.is_displayed and (self._panel.ready.is_set() or in_time):
            return
        self._card.show(sign_in)


def show_again(
    panel: SignInPanel, request: CellRequest, display_id: str, beside: Sequence[Any] = ()
) -> None:
    """Display another view of a panel, in the output of that request's cell.

    Args:
        panel: the panel.
        request: the request of the cell.
        display_id: of the output.
        beside: ``Output`` widgets that receive the cell's output. They do not receive this one.
    """
    from nbauth.jupyter.ipykernel.requests import display_under
    from nbauth.jupyter.places.environment import shell

    bundle = panel._repr_mimebundle_()
    if bundle is None:
        return
    with _detached(beside):
        display_under(request, getattr(shell(), "display_pub", None), bundle, display_id)


@contextlib.contextmanager
def _detached(outputs: Sequence[Any]) -> Iterator[None]:
    """Let the front end put outputs into the cell instead of into these ``Output`` widgets."""
    attached = [(output, output.msg_id) for output in outputs]
    try:
        for output, _ in attached:
            output.msg_id = ""
        yield
    finally:
        for output, ident in attached:
            output.msg_id = ident
