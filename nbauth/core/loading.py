"""A fork waits while another thread loads a library.

The child would have the half-loaded module, and the lock of it, held by a thread that the child
does not have: whoever loads the same module there would wait for ever. Every other thing that a
child inherits is handled where it is: turns know their process, and filelock its descriptors.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 15.0  # seconds: on a busy machine a library takes long, and a child that hangs is worse
_POLL = 0.002

_loading: dict[object, int] = {}  # of all threads: the hook is the process's


@contextmanager
def loading() -> Iterator[None]:
    """Around imports, and what else may not be cut in two by a fork."""
    token = object()
    try:
        try:
            _loading[token] = threading.get_ident()
            yield
        finally:
            _loading.pop(token, None)
    finally:
        _loading.pop(token, None)


def _wait_for_other_threads() -> None:
    here, deadline = threading.get_ident(), time.monotonic() + _PATIENCE
    while any(thread != here for thread in list(_loading.values())):
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_other_threads, after_in_child=_loading.clear)
