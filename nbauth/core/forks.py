"""Delays a fork while another thread imports a library or runs OpenSSL.

Otherwise the child would inherit a half-loaded module, or OpenSSL's state with a lock that is held
by a thread which does not exist in the child; code that needs that lock would wait for ever. For
the same reason no such section starts while a fork is in progress: other fork hooks and the import
lock let threads run during one. All other inherited state is handled by its own module.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 15.0  # seconds: an import may be slow on a busy machine, and a hanging child is worse
_POLL = 0.002

_uncut: dict[object, int] = {}  # sections in progress, each with its thread
_forking: dict[int, None] = {}  # threads with a fork in progress


@contextmanager
def no_fork() -> Iterator[None]:
    """Delay forks during an import or an OpenSSL call. Do not wait for other threads inside."""
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
    """Register the section as soon as no other thread has a fork in progress."""
    here, deadline = threading.get_ident(), time.monotonic() + _PATIENCE
    within = here in list(_uncut.values())  # nested: a fork already waits for this thread
    _uncut[token] = here
    while not within and _others(list(_forking)) and time.monotonic() < deadline:
        del _uncut[token]  # let the fork proceed
        time.sleep(_POLL)
        _uncut[token] = here


def _before_fork() -> None:
    # Registered before the other threads are checked, so that at least one side sees the other.
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
