from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.testing.clock import FakeClock
from tests.kernel.accounts.machine import Machine


@pytest.fixture
def machine(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(clock)
    monkeypatch.setattr("nbauth.persistence.persistence_named", made.shelf.named)
    yield made
    for kernel in made.kernels:
        kernel.rest()
