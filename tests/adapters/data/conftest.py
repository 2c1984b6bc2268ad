from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import nbauth.process_session
from nbauth.testing.clock import FakeClock
from tests.adapters.data.tenant import TenantBench
from tests.kernel.conftest import no_thread_is_left, no_waiting_between_polls  # noqa: F401


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of nbauth and of the engine; it begins at the present."""
    clock = FakeClock(time.time())
    monkeypatch.setattr("nbauth.kernel.accounts.cached_token.time", clock)
    return clock


@pytest.fixture
def bench(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[TenantBench]:
    """The session of this process, at a tenant of Entra; time passes when a test says so."""
    yield from _bench(TenantBench(clock.time), monkeypatch)


@pytest.fixture
def real_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[TenantBench]:
    """The same by the clock of the machine, for services that check when a token expires."""
    yield from _bench(TenantBench(), monkeypatch)


def _bench(made: TenantBench, monkeypatch: pytest.MonkeyPatch) -> Iterator[TenantBench]:
    made.session.configure(refresh_ahead=False)  # these tests count refreshes
    made.session.be_found_by(nbauth.process_session.the_session)
    monkeypatch.setattr(nbauth.process_session, "_session", made.session)
    yield made
    made.session.rest()
