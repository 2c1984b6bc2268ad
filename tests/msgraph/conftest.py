"""Fixtures of the tests of Microsoft Graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph


@pytest.fixture(scope="session")
def _running_graph(certificates: Certificates) -> Iterator[FaultyGraph]:
    running = FaultyGraph(certificates)
    yield running
    running.stop()


@pytest.fixture
def faulty_graph(_running_graph: FaultyGraph) -> Iterator[FaultyGraph]:
    """The local Graph, as new; it serves the whole run."""
    _running_graph.reset()
    yield _running_graph
    _running_graph.graph.drop_connections()
