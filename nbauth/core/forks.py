"""A fork waits for what must not be cut in two: while a library is loaded, or OpenSSL computes.

The child would have a half-loaded module, or OpenSSL's own state, and the lock of it held by a
thread that the child does not have: whoever needs it there would wait for ever. Nothing of the kind
begins while a fork is under way, either: others' hooks and the import lock let threads run within
one. Every other thing that a child inherits is handled where it is: turns know their process, and
filelock its descriptors.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 15.0  # seconds: on a busy machine a library takes long, and a child that hangs is worse
_POLL = 0.002

_uncut: dict[object, int] = {}  # of all threads: the hook is the process's
_forking: dict[int, None] = {}  # the threads whose fork is under way


@contextmanager
def no_fork() -> Iterator[None]:
    """Around imports and what OpenSSL computes; no waiting for others belongs in it."""
    token = object()
    try:
        try:
            _begin(token)
            yield
        finally:
            _uncut.pop(token, None)
    finally:
        _uncut.pop(token, None)


def _begin(token: object) -> None:
    """Note it, once no other thread's fork is under way."""
    here, deadline = threading.get_ident(), time.monotonic() + _PATIENCE
    within = here in list(_uncut.values())  # a fork waits for this thread already
    _uncut[token] = here
    while not within and _others(list(_forking)) and time.monotonic() < deadline:
        del _uncut[token]  # it is not waited for meanwhile
        time.sleep(_POLL)
        _uncut[token] = here


def _before_fork() -> None:
    # Noted before the look at the other threads: each side sees at least the other's note.
    _forking[threading.get_ident()] = None
    deadline = time.monotonic() + _PATIENCE
    while _others(list(_uncut.values())) and time.monotonic() < deadline:
        time.sleep(_POLL)


def _after_fork() -> None:
    _forking.pop(threading.get_ident(), None)


def _after_fork_in_child() -> None:
    _forking.clear()
    _uncut.clear()


def _others(threads: list[int]) -> bool:
    here = threading.get_ident()
    return any(thread != here for thread in threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )
