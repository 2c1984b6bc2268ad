"""A panel in the output of a cell, and the output that replaces it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbauth.jupyter.ipykernel.requests import CellRequest
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.kernel.sign_in.protocol import Pending

PATIENCE = 5.0
"""Seconds that a front end has to show a panel. After that the sign-in is shown as plain HTML."""


class Shown:
    """A panel in the output of a cell. A line of text can replace it."""

    def __init__(self, panel: SignInPanel, sign_in: Pending) -> None:
        from IPython.display import display

        self.panel = panel
        self._sign_in = sign_in
        self._stand_in = _StandIn(panel)
        self._output = display(panel, display_id=True)
        sign_in.changed.connect(self._stand_in.look)

    @property
    def display_id(self) -> str:
        """The id with which its output is updated; ``""`` if there is none."""
        return "" if self._output is None else str(self._output.display_id)

    def retire(self) -> None:
        """Close the panel, and replace it in the output by a line."""
        self._sign_in.changed.disconnect(self._stand_in.look)
        line = "This sign-in has ended; a newer panel shows who is signed in."
        if self._output is not None:
            data = {"text/plain": line, "text/html": f"<div>{line}</div>"}
            self._output.update(data, raw=True)
        self.panel.close_quietly()


class _StandIn:
    """Shows the sign-in as plain HTML if no front end shows the panel in time."""

    def __init__(self, panel: SignInPanel) -> None:
        self._panel = panel
        self._shown: Any = None
        self._began = time.monotonic()

    def look(self, sign_in: Pending) -> None:
        """Display or update the HTML. After the sign-in it contains no code."""
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


def show_again(panel: SignInPanel, request: CellRequest, display_id: str) -> None:
    """Display another view of a panel, in the output of that request's cell."""
    from nbauth.jupyter.ipykernel.requests import display_under
    from nbauth.jupyter.places.environment import shell

    bundle = panel._repr_mimebundle_()
    if bundle is not None:
        display_under(request, getattr(shell(), "display_pub", None), bundle, display_id)
