"""Forks in the middle of operations; run as a program of its own: ``forking.py CASE``.

Each case prints one JSON object: what the child and the parent saw. A child that hangs is killed
after :data:`PATIENCE` seconds and reported as ``"hangs"``.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import pickle
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import nbauth
from nbauth import process_session
from nbauth.adapters.azure_core import Credential
from nbauth.core.errors import NbAuthError
from nbauth.core.steps import AskPassword
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import ISSUER, FakeEngine
from nbauth.testing.screen import RecordingScreen
from tests.kernel.redirects import redirect, until

PATIENCE = 10.0


class Screens(RecordingScreen):
    """The screen of the process, as ``api`` makes one."""

    def serve(self, session: Session) -> None:
        pass

    def forked(self) -> None:
        self.is_attended = False


engine = FakeEngine()
screen = Screens()


def session() -> Session:
    """The process's session, with the fork hook that it has in a kernel."""
    process_session.new_session(screen, lambda *_, **__: engine)
    made = process_session.the_session()
    made.configure(authority=ISSUER, client_id="notebooks", refresh_ahead=False)
    return made


def in_child(call: Callable[[], Any]) -> Any:
    """Return what a forked child gets from the call."""
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


def credential() -> Any:
    """A credential, pickled and held, as a pool of processes gets it; then its token is old."""
    made = session()
    made.login("read", web_ui=redirect)
    held = nbauth.credential("read")
    data = pickle.dumps(held)
    child = in_child(lambda: [pickle.loads(data).get_token().token, held.get_token().token])
    expire(made)
    old = in_child(lambda: held.get_token().token)
    return {"child": child, "old": old, "parent": held.get_token().token}


def during_refresh() -> Any:
    """A thread of the parent holds the account's lock and has a request in progress."""
    made = session()
    made.login("read", web_ui=redirect)
    expire(made)
    gate = engine.hold("refresh")
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(text(made)))
    thread.start()
    until(gate.reached.is_set)
    threading.Timer(0.3, gate.open).start()  # meanwhile the child asks for the same token
    child = in_child(lambda: text(made))
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


def during_a_question() -> Any:
    """While a password is asked for."""
    made = session()
    pending = made.login("read", flow="password", background=True)
    assert isinstance(pending, SignIn)
    until(lambda: isinstance(pending.step, AskPassword))
    child = in_child(lambda: [pending.state, pending.enter("ada@example.com", "x")])
    pending.enter("ada@example.com", "y")
    return {"child": child, "parent": pending.wait(PATIENCE).username}


def with_locks_held() -> Any:
    """Another thread of the parent holds every lock."""
    made = session()
    made.login("read", web_ui=redirect)
    locks = [
        made.cache._lock, made._attempts._lock, made._renewal._flights._lock, process_session._lock,
        made._account_locks.of(made.cache.current[made.client().key]),
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
        process_session.the_session()
        made.login("write", web_ui=redirect, force=True)
        made.logout(all=True)
        return made.accounts()

    child = in_child(use)
    leave.set()
    thread.join()
    return {"child": child, "parent": len(made.accounts())}


def kept() -> Any:
    """A child renews a stored grant under the shared lock; the parent uses the result."""
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
    """In a process that inherits nothing, nobody is signed in, and the error says so at once."""
    try:
        return str(nbauth.acquire("read", authority=ISSUER, client_id="notebooks").access_token)
    except NbAuthError as error:
        return error.code


def pool() -> Any:
    session().login("read", web_ui=redirect)
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return {"children": sorted(set(workers.map(_in_pool, range(8))))}


def before_a_session() -> Any:
    """The extension is loaded, and the child is the first to use the session."""

    def attended() -> bool:
        return session().screen.attended()

    return {"child": in_child(attended), "parent": attended()}


def listening() -> Any:
    """A browser sign-in is in progress; the child outlives its end in the parent."""
    made = session()
    pending = made.start("read", flow="browser", show=False)
    until(lambda: pending.authorize_url)
    query = parse_qs(urlsplit(str(pending.authorize_url)).query)
    port = urlsplit(query["redirect_uri"][0]).port or 0
    wait, go_on = os.pipe()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(PATIENCE))
        os.close(go_on)
        os.write(write, b"!")
        os.read(wait, 1)
        os._exit(0)
    os.close(wait)
    os.close(write)
    os.read(read, 1)  # until its hooks have run, a child has what the parent has
    pending.cancel()
    until(lambda: not pending._thread.is_alive())
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        taken = True
    except OSError:
        taken = False
    os.close(go_on)
    os.waitpid(pid, 0)
    return {"taken": taken}


def during_the_first_use() -> Any:
    """Another thread creates the session; it does not exist in the child."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with process_session._lock:
            inside.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(PATIENCE)
    child = in_child(lambda: type(process_session.the_session()).__name__)
    leave.set()
    thread.join()
    return {"child": child}


def while_a_library_loads() -> Any:
    """The first sign-in loads the protocol library in another thread."""
    folder = tempfile.mkdtemp(dir=os.environ["HOME"])
    with open(os.path.join(folder, "slow_library.py"), "w", encoding="utf-8") as file:
        file.write("import time\ntime.sleep(0.5)\n")
    sys.path.insert(0, folder)
    loading = threading.Event()

    def slow_engine(*_: Any, **__: Any) -> FakeEngine:
        loading.set()
        importlib.import_module("slow_library")
        return engine

    process_session.new_session(screen, slow_engine)
    made = process_session.the_session()
    made.configure(authority=ISSUER, client_id="notebooks", refresh_ahead=False)
    first = threading.Thread(target=made.login, args=("read",), kwargs={"web_ui": redirect})
    first.start()
    loading.wait(PATIENCE)
    child = in_child(lambda: made.login("read", web_ui=redirect, force=True).username)  # type: ignore[union-attr]
    first.join()
    return {"child": child}


def while_azure_core_loads() -> Any:
    """The first call of a credential loads it in another thread."""
    made = session()
    made.login("read", web_ui=redirect)
    bound = made.bind()
    credential = Credential(bound, bound.client.scopes(("read",)))
    loading = threading.Event()

    class Slow:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "azure.core.credentials":
                loading.set()
                time.sleep(0.5)

    sys.meta_path.insert(0, Slow)  # type: ignore[arg-type]
    first = threading.Thread(target=credential.get_token)
    first.start()
    loading.wait(PATIENCE)
    child = in_child(lambda: credential.get_token().token)
    first.join()
    return {"child": child}


def at_the_childs_end() -> Any:
    """Another thread wakes the refresh ahead of need; the child ends as a program does."""
    made = session()
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with made._refresh_ahead._lock:
            inside.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(PATIENCE)
    child = in_child(made.rest)
    leave.set()
    thread.join()
    return {"child": child}


def spawn() -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        return {"children": workers.map(_in_another, range(2))}


def forkserver() -> Any:
    with multiprocessing.get_context("forkserver").Pool(1) as workers:
        return {"children": workers.map(_in_another, range(2))}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](), default=repr))
