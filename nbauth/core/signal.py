"""Notifies observers of a change."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from nbauth.core.log import trail

log = logging.getLogger(__name__)


class Signal:
    """Calls its observers after a change, in the thread that made it and without holding a lock.

    An observer's exception is logged and affects neither the change nor the other observers. An
    interrupt of the main thread ends the observer that is running, and is raised after the last.
    """

    def __init__(self) -> None:
        self._observers: list[Callable[..., object]] = []

    def __len__(self) -> int:
        return len(self._observers)

    def connect(self, observer: Callable[..., object]) -> None:
        """Add an observer."""
        self._observers.append(observer)

    def disconnect(self, observer: Callable[..., object]) -> None:
        """Remove an observer, if it is connected."""
        with contextlib.suppress(ValueError):
            self._observers.remove(observer)

    def emit(self, *values: Any) -> None:
        """Call every observer with these values."""
        interrupt = None
        for observer in list(self._observers):
            try:
                observer(*values)
            except BaseException as error:
                log.debug("an observer failed: %s", trail(error))
                if isinstance(error, KeyboardInterrupt):
                    interrupt = error
        if interrupt is not None and threading.current_thread() is threading.main_thread():
            raise interrupt
