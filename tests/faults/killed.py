"""Kernels that end after the provider's response and before it is saved.

``python -m tests.faults.killed kills TIMES FOLDER SCOPE`` forks them, and kernels that come after,
and prints what those met, as JSON. ``… leaves SCOPE`` is one that ends in an orderly way there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nbauth
from nbauth.api import the_session
from nbauth.core.errors import NbAuthError
from nbauth.oauth.engines import engine_for  # noqa: F401  # once, before the forks
from nbauth.persistence import Entry, Persistence
from tests.interop.scripted_browser import ScriptedBrowser
from tests.persistence.keyrings import Working, in_use

_fork = multiprocessing.get_context("fork")
_IN_THE_LOCKS_QUEUE = 0.05  # seconds


def kept() -> tuple[Persistence, Entry]:
    """The store of this kernel's account, and the account's key."""
    ((key, record),) = the_session().cache.signed_in.items()
    return record.store.persistence, Entry(*key)  # type: ignore[union-attr]


def signs_in(scope: str, user: str) -> None:
    """A user signs in, and the kernel ends."""
    nbauth.login(scope, force=True, web_ui=ScriptedBrowser(os.environ["NBAUTH_VERIFY"], user))


def is_killed(parent: Connection, scope: str) -> None:
    """Killed in the hook before the save, after the provider's response."""
    nbauth.acquire(scope)
    store, _ = kept()

    def stop(_: Entry) -> None:
        parent.send("answered")
        parent.recv()
        parent.send(time.monotonic())
        os.kill(os.getpid(), signal.SIGKILL)

    store.before_access = stop
    nbauth.acquire(scope, force_refresh=True)


def comes_after(parent: Connection, scope: str, other: str) -> None:
    """Wait for the lock, refresh (twice), and check the other account."""
    nbauth.acquire(scope)
    store, entry = kept()
    parent.send("waits")
    with store.refreshing(entry):
        entered = time.monotonic()
    met = [_met(lambda: nbauth.acquire(scope, force_refresh=True)) for _ in range(2)]
    others = _met(lambda: nbauth.acquire(scope, account=other, force_refresh=True))
    parent.send({"entered": entered, "met": met, "other": others})


def _met(call: Callable[[], nbauth.AuthenticationResult]) -> Any:
    try:
        return call().source
    except NbAuthError as error:
        return [type(error).__name__, *error.lines()]


@contextmanager
def forked(act: Callable[..., None], *arguments: str):  # type: ignore[no-untyped-def]
    """A forked child that runs it, and the pipe to it."""
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=act, args=(theirs, *arguments))
    process.start()
    try:
        yield process, ours
        process.join(30)
    finally:
        process.kill()


def kills(times: str, folder: str, scope: str) -> None:
    """See the module."""
    rounds: list[dict[str, Any]] = []
    with in_use(Working(Path(folder) / "keyring")):
        _run(signs_in, scope, "grace")
        other = os.environ["OTHER_ACCOUNT"]
        for _ in range(int(times)):
            _run(signs_in, scope, "ada")
            with forked(is_killed, scope) as (victim, to_victim):
                assert _answer(to_victim) == "answered"
                with forked(comes_after, scope, other) as (_next, to_next):
                    assert _answer(to_next) == "waits"
                    time.sleep(_IN_THE_LOCKS_QUEUE)
                    to_victim.send("go")
                    killed = _answer(to_victim)
                    found = _answer(to_next)
            waited = found.pop("entered") - killed
            rounds.append({**found, "waited": waited, "ended": victim.exitcode})
    print(json.dumps(rounds))


def _run(act: Callable[..., None], *arguments: str) -> None:
    process = _fork.Process(target=act, args=arguments)
    process.start()
    process.join(30)
    assert process.exitcode == 0


def _answer(connection: Connection) -> Any:
    assert connection.poll(30), "it printed nothing"
    return connection.recv()


def leaves(scope: str) -> None:
    """Its last line runs while a proactive refresh waits for its save."""
    nbauth.acquire(scope)
    store, _ = kept()
    answered = threading.Event()

    def wait(_: Entry) -> None:
        if threading.current_thread().name == "nbauth-refresh":
            answered.set()
            time.sleep(0.3)

    store.before_access = wait
    end = time.monotonic() + 20
    while not answered.wait(0.05):  # only tokens in use are refreshed ahead of expiry
        nbauth.acquire(scope)
        assert time.monotonic() < end


if __name__ == "__main__":
    {"kills": kills, "leaves": leaves}[sys.argv[1]](*sys.argv[2:])
