"""Processes that fork while they use stored sign-ins; each case runs in its own process.

``python -m tests.faults.forking CASE KIND FOLDER`` forks at that moment, and prints what the child
and the parent met, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbauth.core.errors import PersistenceError
from nbauth.persistence import Persistence, encrypted, passphrase, persistence_named
from nbauth.testing.persistence import ADA
from tests.harness.kernels import ROOT

PATIENCE = 0.6  # seconds for a lock that is held

Told = dict[str, Any]


def forked(
    case: str, kind: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Told:
    """Run it; return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.forking", case, kind, str(folder)],
        cwd=ROOT,
        env=dict(environment or os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    shown: Told = json.loads(done.stdout.splitlines()[-1])
    return shown


class Child:
    """A forked child that runs an action, reports its result, and waits until it is released."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._answers, theirs = os.pipe()
        stays, self._let_go = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._let_go)
            try:
                signal.alarm(30)
                os.write(theirs, json.dumps(_told(act)).encode())
                os.read(stays, 1)
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(stays)

    def answer(self) -> Any:
        """The result, or the code of the error."""
        text = os.read(self._answers, 100_000)
        return json.loads(text) if text else "the child hung or died"

    def end(self) -> None:
        """Release the child."""
        os.write(self._let_go, b"!")  # a later child inherits the other end of this pipe
        os.waitpid(self.pid, 0)


def _told(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except PersistenceError as error:
        return error.code
    except BaseException as error:
        return repr(error)


def make() -> Persistence:
    return persistence_named(KIND, folder=FOLDER, ask=lambda prompt: "correct horse")


def uses(kernel: Persistence) -> str:
    """Everything a kernel does, except refreshing Ada's token."""
    found = kernel.load(ADA)
    kernel.save(ADA, b"the child's")
    kernel.use(ADA)
    assert kernel.current(ADA.issuer, ADA.client_id) == ADA
    return (found or b"").decode()


def refreshes(kernel: Persistence) -> float:
    """Seconds until it had the lock."""
    began = time.monotonic()
    with kernel.refreshing(ADA):
        return time.monotonic() - began


@contextmanager
def in_a_thread(act: Callable[[threading.Event, threading.Event], object]) -> Iterator[None]:
    """The thread sets the first event at the point of interest, and waits for the second."""
    there, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=act, args=(there, go_on))
    thread.start()
    assert there.wait(20)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def another_thread_refreshes() -> Told:
    """The child waits while the parent refreshes, and holds no lock afterwards."""
    kernel = make()
    kernel.save(ADA, b"data")

    def holds(there: threading.Event, go_on: threading.Event) -> None:
        with kernel.refreshing(ADA):
            there.set()
            go_on.wait(20)

    with in_a_thread(holds):
        children = [Child(lambda one=one: [uses(one()), refreshes(one())]) for one in ONES(kernel)]  # type: ignore[misc]
        out = [child.answer() for child in children]
    waited = refreshes(make())
    for child in children:
        child.end()
    return {"out": out, "waited": waited}


def the_same_thread_refreshes() -> Told:
    """The child leaves the locked block; the parent keeps its lock."""
    kernel = make()
    kernel.save(ADA, b"data")
    reading, writing = os.pipe()
    with kernel.refreshing(ADA):
        if not (pid := os.fork()):
            os.close(reading)
        else:
            os.waitpid(pid, 0)
            outside = Child(lambda: refreshes(make()))
            out = outside.answer()
            outside.end()
    if not pid:
        os.write(writing, b"left")
        os._exit(0)
    os.close(writing)
    return {"left": os.read(reading, 10).decode(), "out": out, "waited": refreshes(make())}


def the_holder_is_killed() -> Told:
    """A parent is killed during a refresh; its living child holds no lock."""
    make().save(ADA, b"data")
    reading, writing = os.pipe()
    if not (holder := os.fork()):
        with make().refreshing(ADA):
            child = Child(lambda: "lives")
            os.write(writing, str(child.pid).encode())
            signal.pause()
    pid = int(os.read(reading, 20))
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    os.kill(pid, 0)  # the child is alive
    waited = refreshes(make())
    os.kill(pid, signal.SIGKILL)
    return {"waited": waited}


def another_thread_is_asked() -> Told:
    """A thread of the parent waits for a passphrase at the time of the fork."""
    make().save(ADA, b"data")
    there, go_on = threading.Event(), threading.Event()

    def ask(prompt: str) -> str:
        if os.getpid() == parent:
            there.set()
            go_on.wait(20)
        return "correct horse"

    parent = os.getpid()
    kernel = persistence_named(KIND, folder=FOLDER, ask=ask)
    thread = threading.Thread(target=kernel.open)
    thread.start()
    assert there.wait(20)
    children = [Child(lambda one=one: [uses(one()), refreshes(one())]) for one in ONES(kernel)]  # type: ignore[misc]
    answers = [child.answer() for child in children]
    for child in children:
        child.end()
    go_on.set()
    thread.join()
    return {"answers": answers}


def another_thread_opens() -> Told:
    """Forks at any moment while another thread opens the store, including imports and keyring."""
    setting_up = Child(lambda: make().save(ADA, b"data"))
    assert setting_up.answer() is True
    setting_up.end()
    answers = []
    for number in range(6):
        reading, writing = os.pipe()
        if not (opener := os.fork()):  # nothing is imported yet, each time
            kernel = make()
            thread = threading.Thread(target=kernel.open)
            thread.start()
            time.sleep(number * 0.02)
            child = Child(lambda: [uses(make())[:0], refreshes(make()) < 5])
            os.write(writing, json.dumps(child.answer()).encode())
            child.end()
            thread.join()
            os._exit(0)
        os.close(writing)
        answers.append(json.loads(os.read(reading, 1000)))
        os.close(reading)
        os.waitpid(opener, 0)
    return {"answers": answers}


def sockets_are_closed() -> Told:
    """The child uses none of the parent's sockets, and opens its own persistence."""
    parent = make()
    parent.save(ADA, b"data")
    import secretstorage

    shared = secretstorage.dbus_init()

    def opens() -> Any:
        closed = 0
        for descriptor in range(3, 200):
            try:
                if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                    os.close(descriptor)
                    closed += 1
            except OSError:
                continue
        opened: list[int] = []
        connect = socket.socket.connect

        def counted(one: socket.socket, address: Any) -> None:
            opened.append(os.getpid())
            connect(one, address)

        socket.socket.connect = counted  # type: ignore[assignment, method-assign]
        return [uses(make()), closed > 0, len(opened) > 0, set(opened) == {os.getpid()}]

    child = Child(opens)
    answer = child.answer()
    child.end()
    shared.close()
    return {"answer": answer}


def its_library_does_not_survive() -> Told:
    """As with GLib or libdbus in the parent: the child uses the keyring in a new process."""
    make().save(ADA, b"data")
    sys.modules["dbus"] = sys  # what the parent has loaded
    import keyring

    def opens() -> Any:
        keyring.core._keyring_backend = Hanging()
        return [uses(make()), refreshes(make()) < 5]

    class Hanging(type(keyring.get_keyring())):  # type: ignore[misc]
        def get_password(self, service: str, username: str) -> str | None:
            threading.Event().wait()
            return None

    child = Child(opens)
    answer = child.answer()
    child.end()
    return {"answer": answer}


def by_multiprocessing() -> Told:
    """A multiprocessing pool, which forks on Linux."""
    import multiprocessing

    kernel = make()
    kernel.save(ADA, b"data")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        answers = [pool.apply_async(one, (number,)) for one in (_new, _old) for number in range(3)]
        return {"answers": [one.get(30) for one in answers]}


def _new(number: int) -> bool:
    return make().load(ADA) is not None and refreshes(make()) < 5


def _old(number: int) -> bool:
    return _new(number)


def ONES(kernel: Persistence) -> list[Callable[[], Persistence]]:
    """The parent's instance, and a new one."""
    return [lambda: kernel, make]


CASES = (
    another_thread_refreshes, the_same_thread_refreshes, the_holder_is_killed,
    another_thread_is_asked, another_thread_opens, sockets_are_closed,
    its_library_does_not_survive, by_multiprocessing,
)  # fmt: skip


if __name__ == "__main__":
    case, KIND, where = sys.argv[1:]
    FOLDER = Path(where)
    passphrase.COSTS = {"n": 2, "r": 8, "p": 1}
    encrypted._TO_REFRESH = PATIENCE
    print(json.dumps({one.__name__: one for one in CASES}[case]()))
