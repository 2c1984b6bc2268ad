from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.testing.clock import FakeClock
from tests.kernel.conftest import Bench
from tests.kernel.worker_bench import Worker, session_that_loads


@pytest.fixture
def clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    monkeypatch.setattr("nbauth.kernel.asking.messages.time", clock)
    monkeypatch.setattr("nbauth.kernel.answering.answering.time", clock)
    return clock


@pytest.fixture
def notebook(bench: Bench) -> Bench:
    """The session that workers ask."""
    bench.session.configure(refresh_ahead=False)
    bench.session.be_found_by(session_that_loads)
    return bench


@pytest.fixture
def worker(notebook: Bench) -> Iterator[Worker]:
    made = Worker(notebook)
    yield made
    made.bench.session.rest()
