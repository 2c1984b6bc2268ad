"""Fixtures of the tests of Microsoft Graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from nbauth.msgraph.addresses import root_of
from nbauth.msgraph.client import Graph
from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.kernel.conftest import (
    Bench,
    bench,
    clock,
    no_thread_is_left,
    no_waiting_between_polls,
)

__all__ = ["bench", "clock", "no_thread_is_left", "no_waiting_between_polls"]

Call = Callable[..., requests.Response]


@pytest.fixture
def faulty_graph(certificates: Certificates) -> Iterator[FaultyGraph]:
    """A local Graph of this test's own: no late request of another test can reach it."""
    made = FaultyGraph(certificates)
    yield made
    made.stop()
    assert not made.errors


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


@pytest.fixture
def graph(bench: Bench, faulty_graph: FaultyGraph, certificates: Certificates) -> Graph:
    """The client, signed in as ada with a fake engine, for the local Graph."""
    bench.session.configure(verify=str(certificates.ca_file))
    bench.sign_in("read")
    bound = bench.session.bind()
    root = root_of(faulty_graph.root, "v1.0")
    return Graph.of(bench.session, bound, root, {root.place: bound.client.scopes(("read",))})
