"""Fixtures of the tests of Microsoft Graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph

Call = Callable[..., requests.Response]


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


@pytest.fixture
def plain_session(certificates: Certificates) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.verify = str(certificates.ca_file)
        yield made


@pytest.fixture
def plain_call(faulty_graph: FaultyGraph, plain_session: requests.Session) -> Call:
    """Call the local Graph with a token, at a path of v1.0 or at a full address."""

    def send(path: str, method: str = "GET", **options: Any) -> requests.Response:
        url = path if path.startswith("https:") else f"{faulty_graph.root}/v1.0{path}"
        headers = {"Authorization": "Bearer any", **options.pop("headers", {})}
        options = {"timeout": 10, "allow_redirects": False, **options}
        return plain_session.request(method, url, headers=headers, **options)

    return send
