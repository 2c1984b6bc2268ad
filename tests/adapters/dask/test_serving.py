"""``serve()`` and its end, on clusters of every kind; what tasks can use."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

import nbauth
from nbauth.adapters.dask import Serving, serve
from nbauth.adapters.dask.on_scheduler import topic
from nbauth.adapters.dask.on_worker import Dask
from nbauth.adapters.dask.sealed import Sealed
from nbauth.core.errors import AuthorityUnreachable, ConfigurationError, NbAuthError, TokenError
from nbauth.demo.servers import Demo
from nbauth.kernel.session import Session
from nbauth.process_session import the_session
from tests.adapters.dask import tasks
from tests.adapters.dask.conftest import Issued, cluster_of
from tests.harness import missing
from tests.kernel.redirects import until


def run(client: Client, task: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a task."""
    return client.submit(task, *arguments, pure=False).result(timeout=30)


def left(cluster: LocalCluster, session: Session) -> list[object]:
    """What is left of serving this session."""
    scheduler = cluster.scheduler
    assert session.workers is not None
    name = session.workers.id
    found: list[object] = [*scheduler._broker._topics[topic(name)].subscribers]
    found += [*session.workers.serving]
    plugin = scheduler.plugins.get("nbauth")
    if plugin is not None:
        found += [of for of in plugin.sessions if of == name]
        found += [of for sessions in plugin._lost.values() for of in sessions if of == name]
    return found


def test_nothing_is_left(cluster: LocalCluster, session: Session, issued: Issued) -> None:
    observers = len(session.changed)
    with Client(cluster, set_as_default=False) as client:
        serving = serve(client)
        assert serve(client) is serving
        assert len(session.changed) == observers + 1
        credential = nbauth.credential()
        assert run(client, tasks.use, credential).token in issued.ends
        assert left(cluster, session)
        serving.close()
        assert len(session.changed) == observers
        assert not serving._tasks
        assert not left(cluster, session)
        assert run(client, tasks.outcome, credential).code == "kernel_gone"
        serving.close()
        assert serve(client) is not serving
        assert run(client, tasks.use, credential).token in issued.ends
    serving.close()


def test_closed_client(cluster: LocalCluster, session: Session, issued: Issued) -> None:
    observers = len(session.changed)
    with (
        Client(cluster, set_as_default=False) as first,
        Client(cluster, set_as_default=False) as second,
    ):
        serve(first)
        kept = serve(second)
        credential = nbauth.credential()
        run(second, tasks.use, credential)
        first.close()
        assert not run(second, tasks.outcome, credential).code  # the other client answers
        second.close()
        kept.close()
        for wrong in (second, cluster):
            with pytest.raises(ConfigurationError) as caught:
                serve(wrong)
            assert caught.value.code == "client_not_connected"
    del caught, wrong, first, second, kept
    gc.collect()
    assert len(session.changed) == observers


def test_client_that_has_gone(cluster: LocalCluster, client: Client, session: Session) -> None:
    """It went while it was asking to serve: its workers would keep their tokens for ever."""
    assert session.workers is not None
    name = session.workers.id
    serve(client).close()

    async def ask() -> Any:
        return await client.scheduler.nbauth_serve(session=name, client="Client-gone")

    client.sync(ask)
    assert name not in cluster.scheduler.plugins["nbauth"].sessions
    assert run(client, tasks.outcome, nbauth.credential()).code == "kernel_gone"


def test_asynchronous(cluster: LocalCluster, session: Session, issued: Issued) -> None:
    async def main() -> None:
        client = await Client(cluster.scheduler_address, asynchronous=True, set_as_default=False)
        serving = await serve(client)  # type: ignore[misc]
        use = await client.submit(tasks.use, nbauth.credential(), pure=False)
        assert use.token in issued.ends
        await serving.close()
        again = await serve(client)  # type: ignore[misc]
        await client.close()
        assert await again.close() is None

    asyncio.run(main())


def test_in_this_process(session: Session, issued: Issued) -> None:
    with (
        LocalCluster(processes=False, n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        serving = serve(client)
        assert run(client, tasks.use, nbauth.credential()).token in issued.ends
        assert session.workers is not None
        assert (
            session.workers.loaded.channel is None
        )  # for objects of other kernels, it is the notebook
        serving.close()
        assert not left(cluster, session)


def _get(url: str, session: Any) -> tuple[int, str]:
    answer = session.get(url, timeout=10)
    return answer.status_code, answer.json()["userPrincipalName"]


def _of_graph(graph: Any) -> str:
    return str(graph.get("me")["userPrincipalName"])


def _with_threads(credential: Any) -> set[str]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        return {use.token for use in pool.map(tasks.use, [credential] * 8)}


def test_what_tasks_can_use(
    client: Client, session: Session, serving: Serving, demo: Demo, issued: Issued
) -> None:
    found = client.gather(client.map(_get, [f"{demo.graph_url}/me"] * 3, session=nbauth.session()))
    assert set(found) == {(200, demo.user)}
    assert run(client, _of_graph, nbauth.graph) == demo.user
    credential = nbauth.credential()
    assert run(client, tasks.use_async, credential).token in issued.ends
    (token,) = run(client, _with_threads, credential)
    assert token in issued.ends


def test_restarted(client: Client, session: Session, serving: Serving, issued: Issued) -> None:
    credential = nbauth.credential()
    before = run(client, tasks.use, credential)
    client.restart(timeout=30)
    use = run(client, tasks.use, credential)
    assert use.worker != before.worker
    assert use.token == before.token


def test_plugin_removed(client: Client, session: Session, serving: Serving, issued: Issued) -> None:
    """Workers without the plugin go on when the others are told to drop their tokens."""
    run(client, tasks.use, nbauth.credential())
    before = client.run(os.getpid)
    client.unregister_worker_plugin("nbauth")
    serving.close()
    assert client.run(os.getpid) == before
    assert sum(client.gather(client.map(abs, range(10)))) == 45
    again = serve(client)
    assert run(client, tasks.use, nbauth.credential()).token in issued.ends
    again.close()


class _Signed(Dask):
    """A channel of a worker that is told to drop its tokens while the first answer is coming."""

    answers = 0

    async def _said(self, session: str, question: str) -> Any:
        self.answers += 1
        self.forgotten = 1
        return {"answer": Sealed(json.dumps({"number": self.answers}))}


def test_answer_from_before_a_sign_out() -> None:
    channel = _Signed("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", {})
    assert channel.ask("session", {}) == {"number": 2}


def _raise(credential: Any) -> None:
    credential.get_token("https://elsewhere.test/.default")


def test_errors_come_back(client: Client, session: Session, serving: Serving) -> None:
    with pytest.raises(NbAuthError) as caught:
        run(client, _raise, nbauth.credential())
    assert caught.value.code
    assert caught.value.lines()


def _other_version(credential: Any) -> Any:
    from unittest import mock

    with mock.patch("nbauth.kernel.asking.messages.VERSION", 0):
        return tasks.outcome(credential)


def test_other_version(client: Client, session: Session, serving: Serving) -> None:
    code, said, hint, _ = run(client, _other_version, nbauth.credential())
    assert code == "other_version"
    assert "do not understand each other" in said
    assert "same version" in hint


def _silent_listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.timing
def test_scheduler_that_does_not_respond() -> None:
    with _silent_listener() as frozen:
        channel = Dask(f"tcp://127.0.0.1:{frozen.getsockname()[1]}", "tcp://127.0.0.1:1", {})
        began = time.monotonic()
        with pytest.raises(AuthorityUnreachable) as caught:
            channel.ask("session", {})
    assert caught.value.code == "scheduler_unreachable"
    assert time.monotonic() - began < 6


def _own_address() -> str:
    """An address of this machine that is not loopback; ``""`` if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        try:
            made.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        address = str(made.getsockname()[0])
    return "" if address.startswith("127.") else address


@contextmanager
def _worker(scheduler: str, *options: str, code: str = "") -> Iterator[None]:
    """A worker that somebody else has started."""
    main = "from distributed.cli.dask_worker import main; main()"
    command = [sys.executable, "-c", f"{code}\n{main}", scheduler, "--no-nanny", *options]
    with subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def _scheduler(file: Path) -> Iterator[None]:
    """A scheduler in a process of its own, as on a real cluster; the file has its address."""
    main = "from distributed.cli.dask_scheduler import main; main()"
    where = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
    command = [sys.executable, "-c", main, *where, "--no-dashboard"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until(file.exists, 20)
            yield
        finally:
            process.kill()


async def _serve_too_early(file: Path) -> str:
    client = Client(scheduler_file=str(file), asynchronous=True, set_as_default=False)
    try:
        await serve(client)
    except ConfigurationError as error:
        return error.code
    finally:
        await (await client).close()
    return ""


def test_scheduler_of_its_own(session: Session, demo: Demo, tmp_path: Path) -> None:
    """It loads the tasks and pickles them again. A client is of no use before and after it."""
    file = tmp_path / "address.json"
    with _scheduler(file):
        assert asyncio.run(_serve_too_early(file)) == "client_not_connected"
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            serve(client)
            with _worker(client.scheduler.address):
                client.wait_for_workers(1, timeout=30)
                url = f"{demo.graph_url}/me"
                assert run(client, _get, url, nbauth.session()) == (200, demo.user)
                assert run(client, _of_graph, nbauth.graph) == demo.user
                assert run(client, tasks.outcome, nbauth.credential()).code == ""
    with pytest.raises(ConfigurationError) as caught:
        serve(client)
    assert caught.value.code == "client_not_connected"


def test_not_encrypted(session: Session) -> None:
    if not (address := _own_address()):
        missing("an address of this machine other than loopback")
    with (
        cluster_of(0, host="0.0.0.0", scheduler_port=0) as cluster,
        Client(f"tcp://127.0.0.1:{cluster.scheduler.port}", set_as_default=False) as client,
    ):
        outside = f"tcp://{address}:{cluster.scheduler.port}"
        serving = serve(client)
        with _worker(outside, "--host", address):
            client.wait_for_workers(1, timeout=30)
            code, said, hint, _ = run(client, tasks.outcome, nbauth.credential())
            assert (code, outside in said) == ("not_private", True)
            assert "TLS" in hint
            serving.close()
            with pytest.raises(ConfigurationError) as caught:
                serve(client)
            assert caught.value.code == "not_private"
            assert not left(cluster, session)
        with (
            Client(outside, set_as_default=False) as other,
            pytest.raises(ConfigurationError, match="not encrypted"),
        ):
            serve(other)


def test_without_nbauth_there(session: Session) -> None:
    """A worker without nbauth, on a cluster that no notebook serves."""
    with (
        cluster_of(0) as cluster,
        Client(cluster, set_as_default=False) as client,
        _worker(cluster.scheduler_address, code="import sys; sys.modules['nbauth'] = None"),
    ):
        client.wait_for_workers(1, timeout=30)
        with pytest.raises(TokenError) as unknown:  # the scheduler has no plugin yet
            Dask(cluster.scheduler_address, "tcp://127.0.0.1:1", {}).ask("session", {})
        assert unknown.value.code == "not_served"
        with pytest.raises(ConfigurationError) as caught:
            serve(client)
        assert caught.value.code == "missing_package"
        assert "a worker of the Dask cluster" in str(caught.value)
        assert not left(cluster, session)
        assert "nbauth" not in cluster.scheduler.worker_plugins


def _use_as_stranger(credential: bytes) -> list[str]:
    """Use it in a worker of a cluster not served, which the notebook's kernel has not started."""
    workers, process = the_session().workers, multiprocessing.current_process()
    assert workers is not None
    before, workers.loaded.channel = workers.loaded.channel, None
    key, process.authkey = process.authkey, b"other"
    try:
        tasks.use(credential)
    except NbAuthError as error:
        return error.lines()
    finally:
        workers.loaded.channel, process.authkey = before, key
    return []


def test_not_served(client: Client, session: Session) -> None:
    _, hint = run(client, _use_as_stranger, pickle.dumps(nbauth.credential()))
    assert "nbauth.adapters.dask.serve(client) in the notebook" in hint
