"""Requests of a batch that depend on each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.msgraph.batch.items import BatchRequest
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import replies

NOBODY = "users/nobody"


def chain(*paths: str) -> list[BatchRequest]:
    return [
        BatchRequest("GET", path, depends_on=() if at == 0 else at - 1)
        for at, path in enumerate(paths)
    ]


def sent(graph: FaultyGraph) -> list[list[Any]]:
    """What the members of each batch depended on."""
    batches = [json.loads(one.body)["requests"] for one in graph.requests]
    return [[one.get("dependsOn") for one in batch] for batch in batches]


def test_a_chain_is_one_batch(graph: Graph, faulty_graph: FaultyGraph) -> None:
    items = graph.batch([*chain(*["me"] * 20), *["me"] * 3], width=1)
    assert all(one.ok for one in items)
    assert sent(faulty_graph) == [[None, *([str(at)] for at in range(19))], [None] * 3]


def test_requests_that_need_the_same_ones(graph: Graph, faulty_graph: FaultyGraph) -> None:
    both = [BatchRequest("GET", "me", depends_on=(1, 0)) for _ in range(3)]
    assert all(one.ok for one in graph.batch(["me", "me", *both, "me"]))
    assert sent(faulty_graph) == [[None, None, *[["1", "0"]] * 3, None]]


def test_pairs_have_a_batch_each_with_others(graph: Graph, faulty_graph: FaultyGraph) -> None:
    pairs = [BatchRequest("GET", "me", depends_on=at) for at in range(3)]
    assert all(one.ok for one in graph.batch([*["me"] * 25, *pairs], width=1))
    assert [len(batch) for batch in sent(faulty_graph)] == [20, 6, 2]


def test_a_need_that_follows_from_another_is_left_out(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    items = graph.batch(
        ["me", {"path": "me", "depends_on": 0}, {"path": "me", "depends_on": (0, 1)}]
    )
    assert all(one.ok for one in items)
    assert sent(faulty_graph) == [[None, ["0"], ["1"]]]


def test_what_depends_on_a_failed_one_has_failed(graph: Graph, faulty_graph: FaultyGraph) -> None:
    items = graph.batch(chain("me", NOBODY, "me", "me"))
    assert [one.status for one in items] == [200, 404, 424, 424]
    assert items[2].error is not None and items[2].error.code == "FailedDependency"
    assert len(faulty_graph.requests) == 1


def test_a_chain_goes_on_where_it_was_refused(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=2, answer=replies.throttled(0.05))
    items = graph.batch(chain("me", "me", "me", NOBODY, "me"))
    assert [one.status for one in items] == [200, 200, 200, 404, 424]
    assert sent(faulty_graph)[1] == [None, ["1"], ["2"], ["3"]]
    assert faulty_graph.early == []


def test_what_depends_on_one_that_stays_refused_has_failed(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.fail("GET", f"/v1.0/{NOBODY}", answer=replies.throttled(86_400))
    items = graph.batch(chain(NOBODY, "me"))
    assert [one.status for one in items] == [429, 424]
    assert len(faulty_graph.requests) == 1


def test_what_depends_on_a_collection_needs_its_first_page(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    users, me = graph.batch(chain("users?$top=200", "me"))
    assert len(users.body["value"]) == 250 and me.ok
    assert sent(faulty_graph) == [[None, ["0"]], [None]]


@pytest.mark.parametrize(
    "requests",
    [
        chain(*["me"] * 21),
        [BatchRequest("GET", "me", depends_on=0)],
        [BatchRequest("GET", "me"), BatchRequest("GET", "me", depends_on=5)],
        [BatchRequest("GET", "me"), BatchRequest("GET", "me", depends_on=-1)],
        [BatchRequest("GET", "me"), BatchRequest("GET", "me", depends_on=["0"])],  # type: ignore[list-item]
        [*chain("me", "me", "me"), BatchRequest("GET", "me", depends_on=0)],
    ],
    ids=["too long", "itself", "later", "negative", "text", "a tree"],
)
def test_dependencies_that_graph_does_not_accept(
    graph: Graph, faulty_graph: FaultyGraph, requests: list[BatchRequest]
) -> None:
    with pytest.raises(ConfigurationError):
        graph.batch(requests)
    assert faulty_graph.requests == []
