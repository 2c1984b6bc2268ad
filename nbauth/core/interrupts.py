"""An interrupt is an interrupt, whatever the standard library makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def true_interrupts() -> Iterator[None]:
    """Around ``Thread.start`` and ``Event.wait`` in the main thread.

    They wait with a lock that they release in between. An interrupt at that moment comes out of
    CPython as ``RuntimeError: release unlocked lock``; it is raised as what it was.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
