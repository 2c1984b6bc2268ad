"""Lets a cell wait while its panel still handles messages.

This uses private names of ipykernel. Without them, the wait still ends with the sign-in, and the
stop button cancels it. After every wait, also after an interrupt at any line, all changes in the
kernel are undone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any

from nbauth.core.interrupts import Flag
from nbauth.jupyter.ipykernel.pump import TURN, Pump
from nbauth.jupyter.ipykernel.requests import CellRequest
from nbauth.jupyter.ipykernel.stop_button import StopButton


def wait(
    kernel: Any,
    ended: Flag,
    comm_ids: Callable[[], Collection[str]],
    *,
    timeout: float | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    queued: Callable[[CellRequest], None] = lambda _: None,
) -> None:
    """Block the cell until ``ended`` is set or ``timeout`` seconds have passed.

    ``queued`` is called with each request to run another cell. ``meanwhile`` is called regularly.

    One press of the stop button ends the wait, also in ``meanwhile``. While the handler of a
    message runs, two presses are needed.

    Raises ``KeyboardInterrupt`` for the stop button, ``asyncio.CancelledError`` in a cell that
    awaits.
    """
    end = None if timeout is None else time.monotonic() + timeout
    button = StopButton()
    pump = Pump(kernel, comm_ids, button, queued)
    with _Ends(pump, button), _Ends(pump, button):
        button.begin()
        pump.begin()
        while not ended.is_set() and (end is None or time.monotonic() < end):
            pump.turn()
            with button.interrupts(1):
                button.deliver()
                meanwhile()
    button.deliver()


async def wait_async(
    kernel: Any,
    ended: Flag,
    comm_ids: Callable[[], Collection[str]],
    *,
    meanwhile: Callable[[], None] = lambda: None,
    queued: Callable[[CellRequest], None] = lambda _: None,
) -> None:
    """The same for a cell with ``await``: the event loop reads the messages."""
    pump = Pump(kernel, comm_ids, queued=queued)
    with _Ends(pump), _Ends(pump):
        pump.begin()
        while not ended.is_set():
            await asyncio.sleep(TURN)
            meanwhile()


class _Ends:
    """Ends a pump and a button. Two are nested: the outer one completes an interrupted inner."""

    def __init__(self, pump: Pump, button: StopButton | None = None) -> None:
        self._pump = pump
        self._button = button

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._button is not None:
            self._button.interrupt_nothing()
        try:
            self._pump.end()
        finally:
            if self._button is not None:
                self._button.end()
