"""Keeps the panel of a sign-in visible while a cell waits for it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol

from nbauth.jupyter.ipykernel.requests import CellRequest, running_request
from nbauth.jupyter.ipykernel.stop_button import defer_interrupts
from nbauth.jupyter.places.request import outputs_around

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.kernel.sign_in.protocol import Pending

SOON = 0.3
"""Seconds that a cell may wait before it shows the sign-in."""
PATIENCE = 1.5
"""Seconds that a front end has to show a panel before the panel is displayed in another output."""
FIRST_PATIENCE = 3.0
"""The same for the first panel of a page, whose scripts have to be loaded."""


class ShowsPanels(Protocol):
    """The part of ``screen.NotebookScreen`` that is used here."""

    def showing(self, sign_in: Pending) -> list[SignInPanel]: ...
    def show_in_cell(self, sign_in: Pending) -> bool: ...
    def show_again(
        self, panel: SignInPanel, request: CellRequest, beside: Sequence[Any] = ()
    ) -> None: ...


class InView:
    """Keeps a panel visible during one wait of one cell.

    The panel may disappear: the output was cleared, the cell was deleted, or the cell was run
    again, which clears its output while the first run waits. Then the panel is displayed again: in
    the output of the queued run of the same cell, else in the output of the waiting cell, else in
    the output of the next queued cell.

    Args:
        screen: shows the panels.
        kernel: the running kernel.
        sign_in: the sign-in that the cell waits for.
    """

    def __init__(self, screen: ShowsPanels, kernel: Any, sign_in: Pending) -> None:
        self._screen = screen
        self._sign_in = sign_in
        self._kernel = kernel
        self._cell = running_request(kernel)
        self._queued: list[CellRequest] = []
        self._tried: set[tuple[CellRequest, bool]] = set()
        self._began = time.monotonic()
        self._last = 0.0
        self._may_show = True
        self._note_wait()

    def queued(self, request: CellRequest) -> None:
        """Note a request to run a cell after this one."""
        if request.cell_id:
            self._queued.append(request)

    def update(self) -> None:
        """Show the sign-in in the waiting cell if it is not visible there."""
        if self._cell is None or self._sign_in.ended.is_set():
            return
        panels = self._note_wait()
        if not panels:
            if self._may_show and time.monotonic() - self._began >= SOON:
                self._may_show = self._screen.show_in_cell(self._sign_in)
            return
        now = time.monotonic()
        if not any(panel.ready.is_set() for panel in panels):
            if now - max(self._began, self._last) >= FIRST_PATIENCE and self._outputs():
                self._show_again(panels[0])
        elif None in [panel.unseen_since for panel in panels]:
            self._tried.clear()
        elif now - self._last >= PATIENCE:
            self._show_again(panels[0])

    def stopped(self) -> None:
        """Note that the cell stopped waiting before the end of the sign-in."""
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
        candidates = (one for one in self._candidates(panel) if one not in self._tried)
        candidate = next(candidates, None)
        if candidate is None:
            return
        self._tried.add(candidate)
        self._last = time.monotonic()
        request, beside = candidate
        with defer_interrupts(), contextlib.suppress(Exception):  # disconnected
            self._screen.show_again(panel, request, self._outputs() if beside else ())

    def _candidates(self, panel: SignInPanel) -> Iterator[tuple[CellRequest, bool]]:
        """The cells in whose output the panel may be visible, the most likely first.

        With each, whether it is displayed beside the ``Output`` widgets that receive the output.
        """
        assert self._cell is not None
        again = [one for one in reversed(self._queued) if one.cell_id == self._cell.cell_id]
        yield from ((one, False) for one in again)
        if not again:
            if panel.ready.is_set():
                yield self._cell, False
            if self._outputs():
                yield self._cell, True
        yield from ((one, False) for one in self._queued if one not in again)

    def _outputs(self) -> list[Any]:
        return outputs_around(self._kernel)
