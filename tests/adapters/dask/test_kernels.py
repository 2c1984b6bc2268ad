"""What becomes of the tokens on workers when a kernel ends, signs out or loses its connection."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from distributed import Client, LocalCluster
from distributed.comm import connect

import nbauth
from nbauth.adapters.dask import Serving, serve
from nbauth.adapters.dask.serving import AT_ONCE
from nbauth.core.errors import InteractionRequired, NotSignedIn
from nbauth.demo.servers import Demo
from nbauth.kernel.session import Session
from tests.adapters.dask import tasks
from tests.adapters.dask.conftest import Issued, Notebook
from tests.adapters.dask.notebook import sign_in
from tests.kernel.redirects import until


def run(client: Client, task: Callable[..., Any], *arguments: Any, at: int | None = None) -> Any:
    """The result of a task, on any worker or on the one of this number."""
    return submit(client, task, *arguments, at=at).result(timeout=30)


def submit(client: Client, task: Callable[..., Any], *arguments: Any, at: int | None) -> Any:
    """The future of a task."""
    workers = None if at is None else [sorted(client.nthreads())[at]]
    return client.submit(task, *arguments, pure=False, workers=workers)


def held(client: Client) -> int:
    """The number of tokens that the workers hold."""
    return sum(client.run(tasks.tokens_held).values())


def test_killed(
    client: Client,
    session: Session,
    serving: Serving,
    demo: Demo,
    issued: Issued,
    notebook: Callable[..., Notebook],
) -> None:
    """Two kernels serve the cluster: this process for ada, and one for grace that is killed."""
    killed, before = notebook(demo.second_user, client), held(client)
    of_ada = nbauth.credential()
    uses = [run(client, tasks.use, one, at=0) for one in (killed.credential, of_ada)]
    assert [issued.users[use.token] for use in uses] == [demo.second_user, demo.user]
    assert held(client) == before + 2
    killed.send(signal.SIGKILL)
    until(lambda: held(client) == before + 1, 10)
    for at in (0, 1):
        code, said, hint, _ = run(client, tasks.outcome, killed.credential, at=at)
        assert code == "kernel_gone"
        assert said == (
            "The notebook that signed in is no longer connected, and only its kernel gets tokens"
            " for this Dask worker."
        )
        assert "call nbauth.adapters.dask.serve(client)" in hint
        assert hint.endswith("sign in again in a notebook, and start the work from there.")
    for at in (0, 1):
        assert issued.users[run(client, tasks.use, of_ada, at=at).token] == demo.user


def test_signed_out(client: Client, session: Session, serving: Serving) -> None:
    credential, before = nbauth.credential(), held(client)
    run(client, tasks.use, credential, at=0)
    assert held(client) == before + 1
    nbauth.logout()
    until(lambda: held(client) == before)
    with pytest.raises(NotSignedIn):
        run(client, tasks.use, credential, at=0)


def test_used_before_it_was_served(cluster: LocalCluster, client: Client, session: Session) -> None:
    """Workers that this kernel has started ask over its pipe until then; the scheduler then does
    not know that they have tokens."""
    if "nbauth" in cluster.scheduler.worker_plugins:  # of another test
        client.unregister_worker_plugin("nbauth")
    credential, before = nbauth.credential(), held(client)
    run(client, tasks.use, credential, at=0)
    with contextlib.closing(serve(client)):
        run(client, tasks.use, credential, at=0)
        assert held(client) == before + 1
        nbauth.logout()
        until(lambda: held(client) == before)
        with pytest.raises(NotSignedIn):
            run(client, tasks.use, credential, at=0)


def test_other_account(
    client: Client, session: Session, serving: Serving, demo: Demo, issued: Issued
) -> None:
    of_ada = nbauth.credential()
    before = run(client, tasks.use, of_ada, at=0)
    sign_in(demo.second_user, demo.password)
    of_grace = nbauth.credential()
    pairs = [
        (credential, run(client, tasks.use, credential, at=at))
        for at in (0, 1, 0)
        for credential in (of_ada, of_grace)
    ]
    for credential, use in [(of_ada, before), *pairs]:
        user = demo.user if credential is of_ada else demo.second_user
        assert issued.users[use.token] == user


def test_refused_refresh(
    client: Client, session: Session, serving: Serving, demo: Demo, short_life: int
) -> None:
    credential = nbauth.credential()
    run(client, tasks.use, credential)
    demo.provider.store.refresh_tokens.clear()
    time.sleep(short_life)
    with pytest.raises(InteractionRequired) as caught:
        run(client, tasks.use, credential)
    assert len(caught.value.lines()) == 2
    assert caught.value.hint


def test_slow_provider(
    cluster: LocalCluster,
    client: Client,
    session: Session,
    serving: Serving,
    short_life: int,
    issued: Issued,
) -> None:
    """Both workers, and one that goes away, wait for one refresh."""
    credential = nbauth.credential()
    issued.delay = 6.0
    until(lambda: time.time() > max(issued.ends.values()))
    waiting = [submit(client, tasks.use, credential, at=at) for at in (0, 1)]
    until(lambda: sum(one.waiting for one in pending(cluster)) == 2)
    question = pending(cluster)[0].question
    asyncio.run(_ask_and_go(cluster, question))
    uses = client.gather(waiting)
    assert all(use.took > 4.5 for use in uses)
    assert issued.refreshes == 1


def test_answer_to_a_question_from_before(
    cluster: LocalCluster,
    client: Client,
    session: Session,
    serving: Serving,
    demo: Demo,
    issued: Issued,
) -> None:
    """The scheduler has lost its questions; an answer does not go to another question."""
    of_ada = nbauth.credential()
    sign_in(demo.second_user, demo.password)
    of_grace = nbauth.credential()
    issued.delay = 1.0
    lost = submit(client, tasks.use_wider, of_ada, at=0)
    until(lambda: issued.refreshes)
    client.unregister_scheduler_plugin("nbauth")
    serve(client)
    assert issued.users[run(client, tasks.use, of_grace, at=1).token] == demo.second_user
    lost.cancel()


def pending(cluster: LocalCluster) -> list[Any]:
    """The questions that are not answered yet."""
    sessions = cluster.scheduler.plugins["nbauth"].sessions.values()
    return [one for of in list(sessions) for one in list(of.pending.values())]


async def _ask_and_go(cluster: LocalCluster, question: str) -> None:
    """Be a worker that asks too, and ends before the answer."""
    (session,) = cluster.scheduler.plugins["nbauth"].sessions
    comm = await connect(cluster.scheduler_address)
    asked = {"session": session, "question": question, "worker": "tcp://127.0.0.1:1"}
    await comm.write({"op": "nbauth_ask", **asked})
    assert await comm.read() == {"wait": True}
    until(lambda: [one.waiting for one in pending(cluster)] == [3])
    comm.abort()


def test_many_questions(
    cluster: LocalCluster, session: Session, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever connects to the scheduler can ask as many as he likes; few are answered at once."""
    assert session.workers is not None
    at_once, gate = list[object](), threading.Event()

    def answer(question: object) -> dict[str, object]:
        at_once.append(question)
        gate.wait(10)
        return {}

    monkeypatch.setattr(session.workers, "answer", answer)

    async def ask_all(count: int) -> list[Any]:
        comms = [await connect(cluster.scheduler_address) for _ in range(count)]
        for number, comm in enumerate(comms):
            asked = {"session": session.workers.id, "question": str(number), "worker": ""}
            await comm.write({"op": "nbauth_ask", **asked})
        said = await asyncio.gather(*(comm.read() for comm in comms))
        until(lambda: len(at_once) >= AT_ONCE)
        assert len(at_once) == AT_ONCE
        gate.set()
        for at, comm in enumerate(comms):
            while said[at] == {"wait": True}:
                said[at] = await comm.read()
            comm.abort()
        return said

    said = asyncio.run(ask_all(AT_ONCE + 20))
    assert all("answer" in one for one in said)
    assert len(at_once) == AT_ONCE + 20


def test_lost_connection(
    cluster: LocalCluster, demo: Demo, session: Session, issued: Issued
) -> None:
    with Client(cluster, set_as_default=False) as client:
        serving = serve(client)
        credential = nbauth.credential()
        run(client, tasks.use, credential, at=0)
        comm = cluster.scheduler.client_comms[client.id].comm
        cluster.loop.add_callback(comm.abort)
        until(lambda: cluster.scheduler.client_comms.get(client.id) not in (None, comm))
        until(lambda: comm is not getattr(client.scheduler_comm, "comm", comm) and _alive(client))
        use = run(client, tasks.use, credential, at=0)
        assert issued.users[use.token] == demo.user
        serving.close()
        assert run(client, tasks.outcome, credential, at=0).code == "kernel_gone"


def _alive(client: Client) -> bool:
    return str(client.status) == "running"
