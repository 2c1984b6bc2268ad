"""A sign-in as a card of plain HTML in the output of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.protocol import Pending


class Card:
    """One output that is updated. After the sign-in it contains no code."""

    def __init__(self) -> None:
        self._output: Any = None

    @property
    def is_displayed(self) -> bool:
        """Whether the card has been displayed."""
        return self._output is not None

    def show(self, sign_in: Pending) -> None:
        """Display the card, or update it."""
        from IPython.display import display

        from nbauth.jupyter.display import html_for, lines_for

        card = {"text/html": html_for(sign_in), "text/plain": "\n".join(lines_for(sign_in))}
        if self._output is None:
            self._output = display(card, raw=True, display_id=True)
        else:
            self._output.update(card, raw=True)
