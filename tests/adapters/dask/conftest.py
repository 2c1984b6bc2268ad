from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

import nbauth.process_session
from nbauth.adapters.dask import Serving, serve
from nbauth.core.settings_reader import SettingsReader
from nbauth.demo.grants import Grant, GrantStore
from nbauth.demo.servers import Demo, start
from nbauth.demo.token_endpoint import TokenEndpoint
from nbauth.jupyter.screens import Screens
from nbauth.kernel.asking.messages import digest
from nbauth.kernel.session import Session
from tests.adapters.dask.notebook import sign_in
from tests.kernel.redirects import until

SCRIPT = sys.executable, "-m", "tests.adapters.dask.notebook"


class Issued:
    """Watches the demo's provider.

    Attributes:
        refreshes: the number of refreshes.
        delay: of each, seconds.
        ends: when each access token ends, by its digest; seconds since the epoch.
        users: whose it is, by its digest.
    """

    def __init__(self) -> None:
        self.refreshes = 0
        self.delay = 0.0
        self.ends: dict[str, float] = {}
        self.users: dict[str, str] = {}

    def posting(self, plain: Callable[..., None]) -> Callable[..., Any]:
        """The token endpoint's handler, watched."""

        async def post(handler: TokenEndpoint, tenant: str) -> None:
            if handler.field("grant_type") == "refresh_token":
                self.refreshes += 1
                await asyncio.sleep(self.delay)
            plain(handler, tenant)

        return post

    def keeping(self, plain: Callable[..., None]) -> Callable[..., None]:
        """What keeps issued access tokens, watched."""

        def keep(store: GrantStore, text: str, grant: Grant) -> None:
            self.ends[digest(text)] = time.time() + store.access_ttl
            self.users[digest(text)] = grant.person.username
            plain(store, text, grant)

        return keep


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    with start() as running:
        yield running


@pytest.fixture
def short_life(demo: Demo) -> Iterator[int]:
    """Access tokens live for two seconds."""
    before, demo.provider.store.access_ttl = demo.provider.store.access_ttl, 2
    yield 2
    demo.provider.store.access_ttl = before


@pytest.fixture
def issued(monkeypatch: pytest.MonkeyPatch) -> Issued:
    made = Issued()
    monkeypatch.setattr(TokenEndpoint, "post", made.posting(TokenEndpoint.post))
    keep = made.keeping(GrantStore.keep_access_token)
    monkeypatch.setattr(GrantStore, "keep_access_token", keep)
    return made


@contextmanager
def cluster_of(workers: int, **options: Any) -> Iterator[LocalCluster]:
    """A cluster of processes on this machine."""
    settings = {"distributed.admin.log-format": "%(message)s"}
    options = {"threads_per_worker": 1, "dashboard_address": ":0", **options}
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=workers, silence_logs=50, **options) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes."""
    with cluster_of(2) as made:
        yield made


@pytest.fixture(scope="session")
def client(cluster: LocalCluster) -> Iterator[Client]:
    """The client of the notebook."""
    with Client(cluster, set_as_default=False) as made:
        yield made


@pytest.fixture
def session(
    request: pytest.FixtureRequest, demo: Demo, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """The session of the notebook, which is this process; ada is signed in.

    Its settings are not in the environment, so that no worker has them.
    """
    if "short_life" in request.fixturenames:
        request.getfixturevalue("short_life")  # before the sign-in
    screens = Screens()
    reader = SettingsReader(demo.environment(), list, screens)
    made = Session(reader, screens, None, nbauth.process_session.the_session)
    screens.serve(made)
    monkeypatch.setattr(nbauth.process_session, "_session", made)
    sign_in(demo.user, demo.password)
    yield made
    made.rest()


@pytest.fixture
def serving(client: Client, session: Session) -> Iterator[Serving]:
    """The cluster is served; afterwards nothing of it is left."""
    made = serve(client)
    yield made
    made.close()


@dataclass
class Notebook:
    """A notebook's kernel in a process of its own, which serves the cluster.

    Attributes:
        credential: its credential, pickled.
    """

    process: subprocess.Popen[str]
    credential: bytes

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.communicate(timeout=20)


@pytest.fixture
def notebook(demo: Demo) -> Iterator[Callable[..., Notebook]]:
    """Starts notebooks' kernels; the arguments are the user and a client of the cluster."""
    with ExitStack() as running:

        def begin(user: str, client: Client) -> Notebook:
            process = subprocess.Popen(
                [*SCRIPT, client.scheduler.address, user, demo.password],
                env={**os.environ, **demo.environment()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            made = Notebook(process, b"")
            running.callback(made.kill)
            assert process.stdout is not None
            made.credential = bytes.fromhex(process.stdout.readline())
            assert made.credential
            return made

        yield begin


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    def ours() -> set[threading.Thread]:
        named = {thread for thread in threading.enumerate() if "nbauth" in thread.name}
        return {thread for thread in named if thread.name != "nbauth-demo"}

    before = ours()
    yield
    until(lambda: not ours() - before, 3)
