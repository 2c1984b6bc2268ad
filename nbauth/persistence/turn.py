"""One thread at a time, for work that may ask a person.

No lock is held meanwhile. Other threads wait for a bounded time, an interrupt at any line leaves
nothing taken, and a forked child inherits nobody's turn.
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
    """Which thread of this process is at it."""

    def __init__(self) -> None:
        self._runs: dict[int, _Run] = {}  # by process id; setdefault is atomic

    def take(self, act: Callable[[], None], patience: float) -> None:
        """Run it; if another thread is running its own, wait for that one's end instead.

        The other thread's failure is raised here too, so that a person who has refused is not
        asked again by each thread that waited.

        Args:
            act: may raise ``PersistenceError``.
            patience: seconds to wait for another thread.

        Raises ``PersistenceError`` when they are over, and at once if ``act`` itself leads here.
        """
        process, mine = os.getpid(), _Run(threading.get_ident())
        # An interrupt in the inner ``finally`` leaves the outer one to end the turn.
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
                "The kept sign-ins are being opened by another thread, which has not finished.",
                code="being_opened",
                hint="Answer the question for the passphrase, if there is one, then try again.",
            )
        time.sleep(_POLL)
    if run.error is not None:
        error = run.error
        raise PersistenceError(str(error), code=error.code, hint=error.hint) from error
    if not run.succeeded:
        raise PersistenceError(
            "The kept sign-ins were being opened by another thread, which was interrupted.",
            code="not_opened",
            hint="Run the cell again.",
        )
