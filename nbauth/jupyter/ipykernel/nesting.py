"""Lets an event loop run nested in itself for the time of a ``with`` block.

nest_asyncio2 changes asyncio, the loop's class and tornado permanently: ``asyncio.run`` would no
longer raise an error in a cell, and every later task would be slower. This module undoes these
changes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEPT = frozenset({"FUTURES"})
"""tornado's list of future classes stays changed: such futures may still be awaited."""


@contextmanager
def nested(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let ``loop.run_until_complete`` work while the loop is running.

    If other code had applied nest_asyncio2 before, its changes stay.
    """
    import nest_asyncio2

    changing: list[Any] = [asyncio, asyncio.events, asyncio.futures, asyncio.tasks, type(loop)]
    if sys.version_info < (3, 14):
        changing.append(type(asyncio.get_event_loop_policy()))
    if "tornado.concurrent" in sys.modules:
        changing.append(sys.modules["tornado.concurrent"])
    before = [(thing, dict(vars(thing))) for thing in changing]
    nest_asyncio2.apply(loop)
    changed = [
        (thing, name, names)
        for thing, names in before
        for name, value in vars(thing).items()
        if (name not in names or names[name] is not value) and name not in KEPT
    ]
    try:
        yield
    finally:
        for thing, name, names in changed:
            if name in names:
                setattr(thing, name, names[name])
            else:
                delattr(thing, name)
