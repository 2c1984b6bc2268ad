"""A cell that waits for a sign-in shows it, whatever becomes of its output meanwhile."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol

from nbauth.jupyter.ipykernel.requests import CellRequest, running_request
from nbauth.jupyter.ipykernel.stop_button import held_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.kernel.sign_in.protocol import Pending

SOON = 0.3
"""Seconds that a wait may take without showing anything."""
PATIENCE = 1.5
"""Seconds for a front end to show a panel where it was displayed, before another place is tried."""


class ShowsPanels(Protocol):
    """What shows the panels: ``screen.NotebookScreen``."""

    def showing(self, sign_in: Pending) -> list[SignInPanel]: ...
    def show_in_cell(self, sign_in: Pending) -> None: ...
    def show_again(self, panel: SignInPanel, place: CellRequest) -> None: ...


class InView:
    """Of one wait, in one cell.

    Its panel may be gone: the output was cleared, the cell deleted, or run again, which empties its
    output while the first run waits. Then the panel is displayed again: in the output of the run
    that is queued behind, else in the cell's own, else under the next cell that is queued.

    Args:
        screen: whose panels these are.
        kernel: the running one.
        sign_in: what the cell waits for.
    """

    def __init__(self, screen: ShowsPanels, kernel: Any, sign_in: Pending) -> None:
        self._screen = screen
        self._sign_in = sign_in
        self._cell = running_request(kernel)
        self._queued: list[CellRequest] = []
        self._tried: set[str] = set()
        self._began = time.monotonic()
        self._last = 0.0
        self._note_wait()

    def queued(self, request: CellRequest) -> None:
        """A cell is to run after this one."""
        if request.cell_id:
            self._queued.append(request)

    def look(self) -> None:
        """Show the sign-in in the waiting cell if it is not seen there."""
        if self._cell is None or self._sign_in.ended.is_set():
            return
        panels = self._note_wait()
        if not panels:
            if time.monotonic() - self._began >= SOON:
                self._screen.show_in_cell(self._sign_in)
            return
        since = [panel.unseen_since for panel in panels]
        if None in since:
            self._tried.clear()
        elif time.monotonic() - self._last >= PATIENCE:
            self._show_again(panels[0])

    def stopped(self) -> None:
        """The cell waits no more, before the end of the sign-in."""
        for panel in self._here():
            panel.cell_stopped()

    def _note_wait(self) -> list[SignInPanel]:
        panels = self._here()
        for panel in panels:
            panel.waited_for = True
        return panels

    def _here(self) -> list[SignInPanel]:
        """The panels that this cell has displayed."""
        cell = self._cell.msg_id if self._cell is not None else None
        return [panel for panel in self._screen.showing(self._sign_in) if cell in panel.shown_under]

    def _show_again(self, panel: SignInPanel) -> None:
        place = next((one for one in self._places() if one.msg_id not in self._tried), None)
        if place is not None:
            self._tried.add(place.msg_id)
            self._last = time.monotonic()
            with held_back(), contextlib.suppress(Exception):  # the front end is gone
                self._screen.show_again(panel, place)

    def _places(self) -> Iterator[CellRequest]:
        """Where the panel may be seen, the likeliest first."""
        assert self._cell is not None
        again = [one for one in reversed(self._queued) if one.cell_id == self._cell.cell_id]
        yield from again
        if not again:
            yield self._cell
        yield from (one for one in self._queued if one not in again)
