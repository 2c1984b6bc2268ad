"""Forks in the middle of things; run as a program of its own: ``forking.py CASE``.

Each case prints one JSON object: what the child and the parent saw. A child that hangs is killed
after :data:`PATIENCE` seconds and told as ``"hangs"``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import nbauth
from nbauth import api
from nbauth.core.errors import NbAuthError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import ISSUER, FakeEngine
from nbauth.testing.screen import RecordingScreen
from tests.kernel.conftest import redirect, until

PATIENCE = 10.0


class Screens(RecordingScreen):
    """The process's screen, as ``api`` makes one."""

    def serve(self, session: Session) -> None:
        pass

    def forked(self) -> None:
        self.is_attended = False


engine = FakeEngine()
screen = Screens()


def session() -> Session:
    """The process's one session, with the fork hook that it has in a kernel."""
    api._new_session(screen, lambda *_, **__: engine)
    made = api.the_session()
    made.configure(authority=ISSUER, client_id="notebooks", refresh_ahead=False)
    return made


def in_child(call: Callable[[], Any]) -> Any:
    """What a forked child gets from the call."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(PATIENCE))
        try:
            outcome: Any = call()
        except NbAuthError as error:
            outcome = {"code": error.code, "hint": error.hint}
        except BaseException as error:
            outcome = {"raised": repr(error)}
        os.write(write, json.dumps(outcome).encode())
        os._exit(0)
    os.close(write)
    ready, _, _ = select.select([read], [], [], PATIENCE)
    said = os.read(read, 65536) if ready else b""
    os.waitpid(pid, 0)
    return json.loads(said) if said else "hangs"


def text(made: Session, **options: Any) -> str:
    return str(made.acquire("read", **options).access_token)


def expire(made: Session) -> None:
    for token in made.cache.tokens.values():
        token._until = token.expires_on = 0.0


def fresh() -> Any:
    made = session()
    made.login("read", web_ui=redirect)
    held = made.token("read")
    return {"child": in_child(lambda: [text(made), str(held)]), "parent": text(made)}


def stale() -> Any:
    made = session()
    made.login("read", web_ui=redirect)
    expire(made)
    child = in_child(lambda: text(made))
    return {"child": child, "parent": text(made), "reused": engine.reused}


def during_refresh() -> Any:
    """The parent's thread holds the account's turn and is in flight."""
    made = session()
    made.login("read", web_ui=redirect)
    expire(made)
    gate = engine.hold("refresh")
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(text(made)))
    thread.start()
    until(gate.reached.is_set)
    child = in_child(lambda: text(made))
    gate.open()
    thread.join(PATIENCE)
    return {"child": child, "parent": got[0], "reused": engine.reused}


def during_sign_in() -> Any:
    made = session()
    gate = engine.hold("poll_device")
    pending = made.login("read", background=True)
    assert isinstance(pending, SignIn)
    until(gate.reached.is_set)

    def look() -> Any:
        try:
            pending.wait(5)
        except NbAuthError as error:
            said = str(error)
        asked = None
        try:
            text(made)
        except NbAuthError as error:
            asked = error.code
        return {"state": pending.state, "said": said, "asked": asked, "pending": made.pending()}

    child = in_child(look)
    gate.open()
    return {"child": child, "parent": pending.wait(PATIENCE).username}


def with_locks_held() -> Any:
    """Another thread of the parent is inside every lock there is."""
    made = session()
    made.login("read", web_ui=redirect)
    locks = [
        made.cache._lock, made._attempts._lock, made._renewal._flights._lock, api._lock,
        made._renewal._flights.turn(made.cache.current[made.client().key]),
    ]  # fmt: skip
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        inside.set()
        leave.wait(PATIENCE)
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(PATIENCE)

    def use() -> Any:
        api.the_session()
        made.login("write", web_ui=redirect, force=True)
        made.logout(all=True)
        return made.accounts()

    child = in_child(use)
    leave.set()
    thread.join()
    return {"child": child, "parent": len(made.accounts())}


def kept() -> Any:
    """A child renews what is kept, under the lock that all share; the parent takes it over."""
    made = session()
    made.configure(persist="file")
    made.login("read", web_ui=redirect)
    expire(made)
    child = in_child(lambda: text(made))
    return {"child": child, "parent": text(made), "refreshes": engine.count("refresh")}


def threads_and_observers() -> Any:
    made = session()
    made.configure(refresh_ahead=True)
    seen: list[int] = []
    made.changed.connect(lambda: seen.append(1))
    made.login("read", web_ui=redirect)
    before = len(seen)

    def look() -> Any:
        made.login("read", web_ui=redirect, force=True)
        ours = [t.name for t in threading.enumerate() if t.name.startswith("nbauth")]
        return {"threads": ours, "seen": len(seen) - before}

    child = in_child(look)
    made.rest()
    return {"child": child}


def _in_pool(number: int) -> str:
    return str(nbauth.acquire("read").access_token)


def _in_another(number: int) -> str:
    """Where nothing is inherited, there is nobody, and it is said at once."""
    try:
        return str(nbauth.acquire("read", authority=ISSUER, client_id="notebooks").access_token)
    except NbAuthError as error:
        return error.code


def pool() -> Any:
    session().login("read", web_ui=redirect)
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return {"children": sorted(set(workers.map(_in_pool, range(8))))}


def before_a_session() -> Any:
    """The extension is loaded, and the child is the first to use it."""

    def attended() -> bool:
        return session().screen.attended()

    return {"child": in_child(attended), "parent": attended()}


def spawn() -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        return {"children": workers.map(_in_another, range(2))}


def forkserver() -> Any:
    with multiprocessing.get_context("forkserver").Pool(1) as workers:
        return {"children": workers.map(_in_another, range(2))}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](), default=repr))
