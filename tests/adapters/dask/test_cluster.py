"""Many tasks and short-lived tokens on a cluster, and a kernel that is frozen meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest
from distributed import Client, LocalCluster

import nbauth
from nbauth.adapters.dask import serve
from nbauth.demo.servers import Demo
from nbauth.kernel.session import Session
from tests.adapters.dask import tasks
from tests.adapters.dask.conftest import Issued, Notebook, cluster_of

pytestmark = pytest.mark.timing
LIFE = 2
USABLE = LIFE * 0.8
"""Seconds until a token of this life is renewed."""
IN_TIME = LIFE * 0.1
"""If the kernel answers within this time, a worker has the next token before it needs it."""


@pytest.fixture(scope="module")
def plain() -> Iterator[LocalCluster]:
    """A cluster of three worker processes; a fourth one comes later."""
    with cluster_of(3) as made:
        yield made


@pytest.fixture(scope="module")
def client(plain: LocalCluster) -> Iterator[Client]:
    with Client(plain, set_as_default=False) as made:
        yield made


@pytest.fixture(scope="module")
def tls() -> Iterator[Client]:
    """The client of a cluster that uses TLS."""
    with cluster_of(1, security=True) as made, Client(made, set_as_default=False) as client:
        yield client


def _many(
    client: Client, issued: Issued, count: int, lives: float, meanwhile: Callable[[], object]
) -> None:
    """Run tasks for so many lives of a token, on all workers."""
    credential = nbauth.credential()
    client.run(tasks.count_questions)
    began, pause = time.monotonic(), lives * USABLE * len(client.nthreads()) / count
    started = client.map(tasks.use_numbered, range(count), credential=credential, pause=pause)
    meanwhile()
    uses = client.gather(started)
    took = time.monotonic() - began
    assert len(uses) == count
    assert issued.refreshes <= 1.3 * took / USABLE + 1
    assert all(use.at < issued.ends[use.token] for use in uses)
    workers = len({use.worker for use in uses})
    assert workers == len(client.nthreads())
    asked = [one for of in client.run(tasks.questions).values() for one in of]
    in_tasks = [thread for thread, _ in asked if "nbauth" not in thread]
    # A worker waits at its first call only, if the kernel then answers in time.
    late = sum(seconds >= IN_TIME for _, seconds in asked)
    assert len(in_tasks) <= workers + late
    assert sum(use.took > IN_TIME for use in uses) <= workers + late


def test_two_thousand_tasks(
    plain: LocalCluster, client: Client, session: Session, short_life: int, issued: Issued
) -> None:
    def scale() -> None:
        plain.scale(4)
        client.wait_for_workers(4, timeout=30)

    serving = serve(client)
    _many(client, issued, 2000, 3.5, meanwhile=scale)
    serving.close()


def test_tls(tls: Client, session: Session, short_life: int, issued: Issued) -> None:
    assert tls.scheduler.address.startswith("tls://")
    serving = serve(tls)
    _many(tls, issued, 100, 2.2, meanwhile=lambda: None)
    serving.close()


def test_frozen_kernel(
    client: Client, demo: Demo, issued: Issued, notebook: Callable[..., Notebook]
) -> None:
    frozen = notebook(demo.user, client)
    first, second = (
        {"workers": [worker], "pure": False} for worker in sorted(client.nthreads())[:2]
    )
    client.submit(tasks.use, frozen.credential, **first).result(timeout=20)
    frozen.send(signal.SIGSTOP)
    without = client.submit(tasks.outcome, frozen.credential, **second)
    code, said, hint, took = without.result(timeout=20)
    assert code == "kernel_silent"
    assert said == (
        "The notebook's kernel has not answered for 4.5 s, so this Dask worker has no token."
    )
    assert hint.startswith("If the kernel is suspended")
    assert 4 < took < 5.5
    fresh = client.submit(tasks.use, frozen.credential, **first).result(timeout=20)
    assert fresh.took < 0.5
    frozen.send(signal.SIGCONT)
    use = client.submit(tasks.use, frozen.credential, **second).result(timeout=20)
    assert use.took < 2
    assert use.token in issued.users
