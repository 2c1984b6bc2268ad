"""An event loop that runs nested in itself, and is as it was afterwards.

nest_asyncio2 changes asyncio, the loop's class and tornado for good: ``asyncio.run`` would no
longer refuse to run in a cell, and every later task would be a slower one. Here it lasts for a
``with``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEPT = frozenset({"FUTURES"})
"""tornado's list of what counts as a future: those made meanwhile may still be awaited."""


@contextmanager
def nested(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let ``loop.run_until_complete`` work though the loop is running.

    Whoever has made it so before, for good, keeps it.
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
