"""A progress bar of tqdm for calls that take longer than a second."""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, Self

AFTER = 1.0
"""Seconds until a bar is shown."""


class Progress:
    """Shows how many rows were read, if a call takes longer than a second and tqdm is installed.

    The bar is removed at the end. After an error, a bar with an estimate stays in a notebook, in
    red. An error of the bar, such as a closed stream, ends the bar and not the call.
    tqdm is imported when a bar is shown. A child process that was forked meanwhile shows nothing.

    Attributes:
        total: the expected number of rows, or ``None``. It can be changed until the bar is shown.
    """

    def __init__(
        self,
        total: int | None = None,
        unit: str = "rows",
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._unit = unit
        self._clock = clock
        self._waiting = enabled
        self._began = clock()
        self._done = 0
        self._bar: Any = None
        self._process = os.getpid()

    def __enter__(self) -> Self:
        self._began = self._clock()
        return self

    def update(self, rows: int) -> None:
        """Count rows that have been read."""
        self._done += rows
        if self._bar is not None:
            self._move(rows)
        elif self._waiting and self._clock() - self._began >= AFTER:
            self._waiting = False
            self._open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting = False
        bar, self._bar = self._bar, None
        if bar is None or os.getpid() != self._process:
            return
        with suppress(Exception):
            if kind is None:
                bar.total = bar.n  # the total may be an estimate: fewer rows are no error
            bar.close()

    def _move(self, rows: int) -> None:
        if os.getpid() != self._process:
            return
        try:
            self._bar.update(rows)
        except Exception:
            self._bar = None

    def _open(self) -> None:
        if os.getpid() != self._process:
            return
        try:
            bar_type, above = _bar_type()
            passed = self._clock() - self._began
            self._bar = bar = bar_type(
                total=self.total,
                unit=f" {self._unit}",
                unit_scale=self._unit == "B",
                leave=False,
                position=above or None,
            )
            bar.start_t -= passed
            bar.last_print_t -= passed
            bar.update(self._done)
        except Exception:  # without tqdm, nothing is shown
            self._bar = None


def _bar_type() -> tuple[type[Any], int]:
    """tqdm's class for this place, and how many bars of other code are shown.

    The class has its own lock and no monitor thread. tqdm's own lock stays locked if an interrupt
    arrives while a bar is drawn, and is a semaphore of multiprocessing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without ipywidgets
        from tqdm.auto import tqdm
    process = os.getpid()

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0
        _lock = threading.RLock()
        _instances: ClassVar[Any] = weakref.WeakSet()

        def close(self) -> None:
            if os.getpid() == process:
                super().close()

        def __del__(self) -> None:
            with suppress(Exception):  # Python would write a closed stream's error to stderr
                self.close()

    return Bar, len(tqdm._instances) if hasattr(tqdm, "_instances") else 0
