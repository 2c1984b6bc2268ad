"""Run work that may ask a person in one thread at a time.

No lock is held meanwhile. Other threads wait for a limited time, an interrupt at any line releases
the turn, and a forked child is not affected by its parent's turn.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from nbauth.core.errors import PersistenceError

_POLL = 0.02  # seconds


class _Run:
    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.over = self.succeeded = False
        self.error: PersistenceError | None = None


class Turn:
    """Records which thread of this process has the turn."""

    def __init__(self) -> None:
        self._runs: dict[int, _Run] = {}  # by process id; setdefault is atomic

    def take(self, act: Callable[[], None], patience: float) -> None:
        """Call ``act``; if another thread has the turn, wait for it instead.

        If the other thread fails, its error is raised here too: a person who refused is not asked
        again by every waiting thread.

        Args:
            act: may raise ``PersistenceError``.
            patience: seconds to wait for another thread.

        Raises ``PersistenceError`` after that time, and at once if ``act`` calls this again.
        """
        process, mine = os.getpid(), _Run(threading.get_ident())
        # If an interrupt breaks off the inner ``finally``, the outer one ends the turn.
        try:
            try:
                run = self._runs.setdefault(process, mine)
                if run is mine:
                    act()
                    mine.succeeded = True
            except PersistenceError as error:
                mine.error = error
                raise
            finally:
                self._end(process, mine)
        finally:
            self._end(process, mine)
        if run is not mine:
            _wait(run, patience)

    def _end(self, process: int, mine: _Run) -> None:
        if self._runs.get(process) is mine:
            del self._runs[process]
        mine.over = True


def _wait(run: _Run, patience: float) -> None:
    if run.thread == threading.get_ident():
        patience = 0
    deadline = time.monotonic() + patience
    while not run.over:
        if time.monotonic() >= deadline:
            raise PersistenceError(
                "Another thread is still opening the stored sign-ins.",
                code="being_opened",
                hint="If a passphrase is asked for, type it, then run the cell again.",
            )
        time.sleep(_POLL)
    if run.error is not None:
        error = run.error
        raise PersistenceError(str(error), code=error.code, hint=error.hint) from error
    if not run.succeeded:
        raise PersistenceError(
            "Another thread was opening the stored sign-ins and was interrupted.",
            code="not_opened",
            hint="Run the cell again.",
        )
