"""Pools of processes whose workers ask this one for tokens; run as a program: ``pools.py CASE``.

Each case prints one JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import nbauth
from nbauth.core.account import AccountKey
from nbauth.core.errors import NbAuthError
from nbauth.kernel.asking.messages import Question, read_answer
from nbauth.kernel.asking.pipe import Pipe
from tests.harness.kernels import ROOT
from tests.kernel.forking import engine, expire, in_child, screen, session, text
from tests.kernel.lines import AtLine, interrupted
from tests.kernel.redirects import redirect, until

FORK = multiprocessing.get_context("fork")


def used(credential: Any, *scopes: str) -> str:
    """The text of a token, or the code of an error."""
    return got(lambda: credential.get_token(*scopes).token)


def renewed(credential: Any) -> str:
    """The same, when the token that the worker has is old."""
    for token in credential._bound._tokens.cache.tokens.values():
        token._until = token.expires_on = 0.0
    return used(credential)


def busy(auth: Any, seconds: float) -> list[str]:
    """The tokens that a worker gets in this time."""
    end, got = time.monotonic() + seconds, dict[str, None]()
    while time.monotonic() < end:
        got[str(auth.bound.silent(auth.bound.client.scopes(("read",))))] = None
        time.sleep(0.005)
    return list(got)


CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


def challenged(auth: Any, credential: Any) -> list[str]:
    """What a worker gets at first, after a 401, after a claims challenge and after a 403."""
    bound = auth.bound
    scopes, wider = bound.client.scopes(("read",)), bound.client.scopes(("write",))
    first = bound.get(scopes).access_token
    calls = (
        lambda: bound.get(scopes, str(first)).access_token,
        lambda: credential.get_token("read", claims=CLAIMS).token,
        lambda: bound.get_wider(wider, str(first), "api.example", True, 0.0).access_token,
    )
    return [str(first), *map(got, calls)]


def got(call: Callable[[], str]) -> str:
    """The text of a token, or the code of an error."""
    try:
        return str(call())
    except NbAuthError as error:
        return error.code


def nested(credential: Any) -> list[str]:
    """What a child's own children get, by fork and by spawn."""
    got = []
    for how in ("fork", "spawn"):
        with ProcessPoolExecutor(1, multiprocessing.get_context(how)) as pool:
            got.append(pool.submit(used, credential).result(30))
    return got


def same(value: Any) -> Any:
    return value


def many_lives() -> Any:
    """Workers use a credential for several lives of its token; its provider rotates."""
    made = session()
    made.configure(hosts={"api.example": ["read"]})
    engine.lifetime = 0.8
    made.login("read", web_ui=redirect)
    auth = nbauth.auth("read", hosts=["api.example"])
    began = time.monotonic()
    with FORK.Pool(4) as pool:
        got = pool.starmap(busy, [(auth, 3.0)] * 4)
    lives = (time.monotonic() - began) / engine.lifetime
    tokens = {text for texts in got for text in texts}
    return {
        "failed": sorted(text for text in tokens if not text.startswith("access-ada-")),
        "tokens": len(tokens),
        "a life": engine.count("refresh") / lives,
        "reused": engine.reused,
    }


def before_the_sign_in() -> Any:
    """The processes and the references are older than the sign-in; the account changes."""
    made = session()
    with (
        FORK.Pool(2) as pool,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other,
    ):
        credential = nbauth.credential("read")

        def workers() -> list[str]:
            spawned = other.submit(renewed, credential).result(30)
            return sorted({*pool.map(renewed, [credential] * 4, 1), spawned})

        def everywhere() -> list[str]:
            return sorted({*workers(), used(credential)})

        nobody = workers()
        made.login("read", web_ui=redirect)
        engine.user = "bob"
        made.login("read", web_ui=redirect, force=True)
        bob = everywhere()
        made.use("ada@example.com")
        still = everywhere()
        made.logout("bob@example.com")
        out = workers()
    return {"nobody": nobody, "bob": bob, "still": still, "out": out}


def challenges() -> Any:
    """In a process older than the sign-in, in a new one, and with inherited objects."""
    made = session()
    made.configure(hosts={"api.example": ["read"]})
    with FORK.Pool(1) as older:
        older.apply(os.getpid)
        made.login("read", web_ui=redirect)
        auth, credential = nbauth.auth("read", hosts=["api.example"]), nbauth.credential("read")
        report: dict[str, Any] = {"older": older.apply(challenged, (auth, credential))}
    with FORK.Pool(1) as newer:
        report["newer"] = newer.apply(challenged, (auth, credential))
    report["inherited"] = in_child(lambda: challenged(auth, credential))
    claims = [call.arguments["claims"] for call in engine.calls if call.method == "refresh"]
    # the notebook's parameters are those of its workers
    audience = {"audience": "https://api.example"}
    made.configure(extra_parameters=audience)
    other = nbauth.auth("read", hosts=["api.example"])
    made.configure(extra_parameters=None)
    made.login("read", web_ui=redirect, force=True, extra_parameters=audience)
    with FORK.Pool(1) as pool:
        theirs = pool.apply(first_of, (other,)), in_child(lambda: first_of(other))
    report["audience"] = [*theirs, first_of(other)]
    return report | {"claims": claims, "reused": engine.reused}


def first_of(auth: Any) -> str:
    """A worker's token."""
    return got(lambda: auth.bound.get(auth.bound.client.scopes(("read",))).access_token)


def one_name() -> Any:
    """Accounts of one name with two clients; unload, and load again."""
    made = session()
    made.login("read", web_ui=redirect)
    made.login("read", web_ui=redirect, client_id="other")
    credentials = [nbauth.credential("read"), nbauth.credential("read", client_id="other")]
    spawn = multiprocessing.get_context("spawn")
    with FORK.Pool(1) as pool, ProcessPoolExecutor(1, spawn) as other:

        def workers() -> list[list[str]]:
            return [pool.map(renewed, credentials), list(other.map(renewed, credentials))]

        report = {"at first": workers()}
        made.rest()
        report["again"] = workers()
    report["notebook"] = [used(one) for one in credentials]
    return report


def store() -> Any:
    """A forked child of a kernel that has not stored its newest grant yet holds the store's lock,
    which the kernel needs to answer."""
    made = session()
    made.configure(persist="file")
    made.login("read", web_ui=redirect)
    expire(made)
    (record,) = made.cache.signed_in.values()
    record.grants[0].kept = False
    child = in_child(lambda: text(made))
    return {"child": child, "parent": text(made), "refreshes": engine.count("refresh")}


def kernel_ends() -> Any:
    """A child asks while its kernel is frozen, awake again, and killed in the middle of an answer.

    Another child of the kernel, forked during the answer, must not keep its sockets open.
    """
    (read, asked), (answered, write), (status, tell) = os.pipe(), os.pipe(), os.pipe()
    wait, go = os.pipe()
    if not (kernel := os.fork()):
        os.close(asked)
        _kernel(read, write, wait, tell)
        os._exit(0)
    os.close(read)

    def ask() -> list[Any]:
        os.write(asked, b"?")
        return heard(answered)

    def heard(end: int) -> Any:
        ready, _, _ = select.select([end], [], [], 15)
        return json.loads(os.read(end, 10_000)) if ready else "hangs"

    report = {"before": ask()}
    os.kill(kernel, signal.SIGSTOP)
    report["frozen"] = ask()
    os.kill(kernel, signal.SIGCONT)
    report["awake"] = ask()
    os.write(go, b"!")
    assert heard(status) == 0
    os.write(asked, b"?")
    idle = heard(status)  # it is forked during the answer
    os.kill(kernel, signal.SIGKILL)
    os.waitpid(kernel, 0)
    report["killed"] = heard(answered)
    report["dead"] = ask()
    os.kill(idle, signal.SIGKILL)
    return report


def _kernel(read: int, write: int, wait: int, tell: int) -> None:
    made = session()
    made.login("read", web_ui=redirect)
    if not os.fork():
        signal.alarm(60)
        while os.read(read, 1):  # ends when the program does
            began = time.monotonic()
            expire(made)
            try:
                got = text(made)
            except NbAuthError as error:
                got = error.code
            os.write(write, json.dumps([got, round(time.monotonic() - began, 2)]).encode())
        os._exit(0)
    signal.alarm(60)
    os.read(wait, 1)
    gate = engine.hold("refresh")
    expire(made)
    os.write(tell, b"0")
    until(gate.reached.is_set, 30)
    if not (idle := os.fork()):
        signal.pause()
    os.write(tell, str(idle).encode())
    signal.pause()


def interrupts() -> Any:
    """At each line that a pickle or a fork runs, in the parent and in the child.

    Afterwards a child can ask, and a child has no refresh token.
    """
    made = session()
    made.login("read", web_ui=redirect)
    workers = made.workers
    assert workers is not None
    credential = nbauth.credential("read")
    sys.unraisablehook = lambda _: None  # an interrupt in a hook of a fork is only shown
    (read, write), kernel = os.pipe(), os.getpid()

    def fork() -> None:
        pid = os.fork()
        if os.getpid() != kernel:
            sys.settrace(None)
            os.write(write, b"." if grants() == ["KernelGrant"] else b"!")
            os._exit(0)
        os.waitpid(pid, 0)

    def grants() -> list[str]:
        return [type(one).__name__ for of in made.cache.signed_in.values() for one in of.grants]

    def asks() -> Any:
        expire(made)
        return text(made)

    failed, lines = [], 0
    for act in (fork, lambda: pickle.dumps(credential)):
        for room in ("kernel/workers.py", "kernel/answering/", "kernel/session_parts.py"):
            for where in interrupted(act, str(ROOT / "nbauth" / room)):
                lines += 1
                if not str(in_child(asks)).startswith("access-ada-"):
                    failed.append(where)
                workers.stop()
    for number in range(1, 120, 3):  # in the child, whose hooks run more lines
        sys.settrace(AtLine(number, str(ROOT / "nbauth" / "kernel")))
        try:
            fork()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
    os.write(write, b".")
    children = os.read(read, 100_000).decode()
    return {"lines": lines, "failed": failed, "tokens in children": children.count("!")}


def broken_hooks() -> Any:
    """Errors in the hooks of a fork: the child has no refresh token, and does not ask itself."""
    made = session()
    made.login("read", web_ui=redirect)
    workers = made.workers
    assert workers is not None
    sys.unraisablehook = lambda _: None

    def fails(*_: object) -> None:
        raise RuntimeError

    def look() -> Any:
        (record,) = made.cache.signed_in.values()
        expire(made)
        try:
            got = text(made)
        except NbAuthError as error:
            got = error.code
        return [type(record.grants[0]).__name__, got]

    workers._listening, kept = fails, workers._listening  # type: ignore[method-assign,assignment]
    report = {"before": in_child(look)}
    workers._listening = kept  # type: ignore[method-assign]
    workers.references.forked = fails  # type: ignore[method-assign]
    screen.forked = fails  # type: ignore[method-assign]
    report["in the child"] = in_child(look)
    return report


def strangers() -> Any:
    """A process that multiprocessing has not started never asks, whatever the pickle says."""
    made = session()
    made.login("read", web_ui=redirect)
    assert made.workers is not None
    idle = not made.workers._pipes
    data = pickle.dumps(nbauth.credential("read"))
    pipe = made.workers._listening()
    connected: list[object] = []
    begin = pipe._begin
    pipe._begin = lambda wire: [connected.append(wire), begin(wire)]  # type: ignore[method-assign,assignment,func-returns-value]
    code = (
        "import pickle, sys; from tests.kernel.pools import used;"
        "print(used(pickle.load(sys.stdin.buffer)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, timeout=60
    )
    listing = "import os; print([os.path.realpath(f'/proc/self/fd/{n}') for n in range(50)])"
    opened = subprocess.run(
        [sys.executable, "-c", listing],
        close_fds=False, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    with FORK.Pool(1) as pool:
        family = pool.apply(renewed, (nbauth.credential("read"),))
    return {
        "idle": idle,
        "stranger": done.stdout.decode().strip(),
        "connected": len(connected),
        "family": family,
        "inherited": f":[{os.fstat(pipe._listener.fileno()).st_ino}]" in opened.stdout.decode(),
    }


def asking_for(credential: Any, account: AccountKey, names: list[str]) -> list[str]:
    """What a worker gets that asks for another account than the one of its reference."""
    pipe, session = pipe_of(credential)
    scopes = credential._bound.client.scopes(("read",))
    questions = [Question.of(name, scopes, None, None, account).plain() for name in names]
    answers = [pipe.ask(session, one) for one in questions]
    return [got(lambda one=one: read_answer(one).response.access_token) for one in answers]


def pipe_of(credential: Any) -> tuple[Pipe, str]:
    """How a worker reaches the kernel, and the name of the kernel's session."""
    reference = credential._bound._tokens.references.to(credential._bound).reference
    return Pipe(reference.pipe), reference.session


def made_there(user: str) -> list[str]:
    """What a forked child gets by an object that it has made, and its own child by the same."""
    made = nbauth.credential("read", account=user)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return [used(made), pool.submit(used, made).result(30)]


def liars() -> Any:
    """A worker asks for an account that nobody has sent to it; one that was forked may."""
    made = session()
    made.login("read", web_ui=redirect)
    ada = nbauth.credential("read")
    engine.user = "bob"
    made.login("read", web_ui=redirect, force=True)
    bob = next(account.key for account in made.accounts() if "bob" in account.username)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        spawned = pool.submit(asking_for, ada, bob, ["", "-", pipe_of(ada)[1]]).result(30)
    return {"spawned": spawned, "forked": in_child(lambda: made_there("bob@example.com"))}


def families() -> Any:
    """Children, grandchildren, and a pickle that comes back."""
    made = session()
    made.login("read", web_ui=redirect)
    credential = nbauth.credential("read")
    report: dict[str, Any] = {}
    for how in ("fork", "spawn", "forkserver"):
        with ProcessPoolExecutor(1, multiprocessing.get_context(how)) as pool:
            report[how] = pool.submit(nested, credential).result(60)
            back = pool.submit(same, credential).result(30)
        report[f"{how} back"] = back == credential or back._bound.key == credential._bound.key
    with multiprocessing.Manager() as manager:
        shared = manager.dict({"credential": credential})
        report["manager"] = used(shared["credential"])
    report["reused"] = engine.reused
    return report


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](), default=repr))
