from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import nbauth.process_session
from nbauth.testing.clock import FakeClock
from tests.adapters.azure.entra import EntraBench, GuardedApi
from tests.harness.certificates import Certificates
from tests.kernel.conftest import no_thread_is_left, no_waiting_between_polls  # noqa: F401
from tests.oauth.servers import Server

Serve = Callable[..., tuple[Server, GuardedApi]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of nbauth and of azure-core's policies; it begins at the present."""
    clock = FakeClock(time.time())
    for module in (
        "nbauth.kernel.accounts.cached_token",
        "azure.core.pipeline.policies._authentication",
        "azure.keyvault.secrets._shared.challenge_auth_policy",
        "azure.keyvault.secrets._shared.async_challenge_auth_policy",
    ):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock


@pytest.fixture
def bench(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntraBench]:
    """The session of this process, at a tenant of Entra."""
    made = EntraBench(clock)
    made.session.configure(refresh_ahead=False)  # these tests count refreshes
    made.session.be_found_by(nbauth.process_session.the_session)
    monkeypatch.setattr(nbauth.process_session, "_session", made.session)
    yield made
    made.session.rest()


@pytest.fixture
def serve(bench: EntraBench, certificates: Certificates) -> Iterator[Serve]:
    """Starts an API on loopback that accepts the tokens of the tenant's engine."""
    with ExitStack() as servers:

        def start(**options: Any) -> tuple[Server, GuardedApi]:
            api = GuardedApi(bench.entra, **options)
            server = servers.enter_context(Server(certificates))
            server.answer = api
            return server, api

        yield start
