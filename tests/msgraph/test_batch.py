"""Many requests by ``$batch``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, GraphError, NotSignedIn
from nbauth.msgraph.batch_items import BatchItem, BatchItems, BatchRequest
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.replies import Reply

BATCH = "/v1.0/$batch"


def paths(graph: FaultyGraph, count: int) -> list[str]:
    return [f"users/{ident}" for ident in list(graph.users.rows)[:count]]


def sizes(graph: FaultyGraph) -> list[int]:
    """The members of each batch that was sent."""
    return [len(json.loads(one.body)["requests"]) for one in graph.requests]


def ids(items: BatchItems) -> list[str]:
    return [f"users/{one.body['id']}" for one in items]


def test_41_items_are_3_batches_in_the_order_of_the_caller(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    """Contract test 1."""
    faulty_graph.fail("POST", BATCH, answer=changes.reversed_members)
    wanted = paths(faulty_graph, 41)
    items = graph.get_many(wanted, select=["id"])
    assert ids(items) == wanted
    assert all(one.ok and one.status == 200 and one.error is None for one in items)
    assert set(items[0].body) >= {"id"} and "displayName" not in items[0].body
    assert sorted(sizes(faulty_graph)) == [1, 20, 20]


def test_only_refused_members_and_their_dependants_are_sent_again(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    """Contract test 2, with shorter times."""
    me, other, *_ = paths(faulty_graph, 2)
    faulty_graph.fail("GET", f"/v1.0/{me}", on=1, answer=replies.throttled(0.1))
    items = graph.batch(
        [
            me,
            {"path": "users/nobody"},
            {"method": "PATCH", "path": other, "json": {"jobTitle": "x"}, "depends_on": 0},
        ]
    )
    assert [(one.ok, one.status) for one in items] == [(True, 200), (False, 404), (True, 204)]
    error = items[1].error
    assert error is not None and error.status == 404 and "users/nobody" in str(error)
    assert error.hint and error.correlation_id
    assert items[1].body["error"]["code"] == error.code
    assert sizes(faulty_graph) == [3, 2] and faulty_graph.early == []
    assert faulty_graph.users.rows[other.removeprefix("users/")]["jobTitle"] == "x"
