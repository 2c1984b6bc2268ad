"""Many requests by ``$batch``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.msgraph.batch.items import BatchItem, BatchItems, BatchRequest
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.kernel.conftest import Bench

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


def test_500_items_of_which_50_are_refused_once(graph: Graph, faulty_graph: FaultyGraph) -> None:
    """None is lost, none is sent too early, and the repeats share batches."""
    faulty_graph.fill(users=500)
    wanted = paths(faulty_graph, 500)
    for path in wanted[::10]:
        faulty_graph.fail("GET", f"/v1.0/{path}", on=1, answer=replies.throttled(0.3))
    assert ids(graph.get_many(wanted, width=8)) == wanted
    assert len(faulty_graph.requests) <= 30 and len(faulty_graph.members) == 550
    assert faulty_graph.early == []


def test_width_is_how_many_batches_are_sent_at_once(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.latency = 0.15  # a batch takes two of them
    for width, most in ((1, 1), (4, 4)):
        faulty_graph.graph.peak = 0
        graph.get_many(paths(faulty_graph, 40 * width), width=width)
        assert faulty_graph.graph.peak == most


@pytest.mark.parametrize("width", [0, 33])
def test_wrong_widths(graph: Graph, width: int) -> None:
    with pytest.raises(ConfigurationError, match="width"):
        graph.get_many(["me"], width=width)


def test_nothing_to_send(graph: Graph, faulty_graph: FaultyGraph) -> None:
    assert graph.get_many([]) == graph.batch(iter(())) == []
    assert faulty_graph.requests == []


@pytest.mark.parametrize(
    "given",
    [
        "me",
        {"path": "me"},
        [{"method": "GET"}],
        [{"path": "me", "body": {}}],
        [{"path": "me", "method": "TRACE"}],
        ["https://localhost/v1.0/me"],
        [["users", ""]],
    ],
)
def test_wrong_requests_are_refused_before_dialing(
    graph: Graph, faulty_graph: FaultyGraph, given: Any
) -> None:
    with pytest.raises(ConfigurationError):
        graph.batch(given)
    assert faulty_graph.requests == []


def test_a_text_is_no_list_of_paths(graph: Graph) -> None:
    with pytest.raises(ConfigurationError, match="list"):
        graph.get_many("me")


def test_ids_arrive_exactly(graph: Graph, faulty_graph: FaultyGraph) -> None:
    names = ["O'Brien", "100%", "#", "a+b", "🙂", "x/y", "é ü", "%2F", "?&="]
    items = graph.get_many(["echo", name] for name in names)
    assert [one.body["segments"] for one in items] == [[name] for name in names]


def test_versions_and_full_urls_go_to_their_own_batches(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    items = graph.get_many(["me", "beta/me", f"{faulty_graph.root}/BETA/me", "/v1.0/me?$select=id"])
    assert all(one.ok for one in items)
    assert sorted(one.path for one in faulty_graph.requests) == ["/beta/$batch", BATCH]


def test_bodies_and_headers(graph: Graph, faulty_graph: FaultyGraph) -> None:
    mail = {"message": {"subject": "é"}}
    items = graph.batch(
        [
            BatchRequest("post", "me/sendMail", json=mail),
            {
                "method": "PUT",
                "path": "me/photo/$value",
                "json": b"\x00\xff",
                "headers": {"a": "b"},
            },
        ]
    )
    assert items[0].status == 202 and items[0].body is None
    assert faulty_graph.sent == [mail]
    first, second = faulty_graph.members
    assert first.headers["content-type"] == "application/json"
    assert second.body == b"\x00\xff" and second.headers["a"] == "b"


def test_an_advanced_query_has_its_header(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench
) -> None:
    items = graph.get_many(["users"] * 5, search="displayName:ada", top=15)
    assert all(one.ok and len(one.body["value"]) > 15 for one in items)
    assert all(one.headers["consistencylevel"] == "eventual" for one in faulty_graph.members)
    assert len([line for line in bench.screen.said if "ConsistencyLevel" in line]) == 1


def test_contents_that_are_not_json(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("POST", BATCH, answer=changes.base64_member("2"))
    photo, number, me = graph.get_many(["me/photo/$value", "users/$count", "me"])
    assert isinstance(photo.body, bytes) and len(photo.body) == 1024
    assert number.body == 250
    assert isinstance(me.body, dict)


def test_a_result_shows_no_values(graph: Graph) -> None:
    items = graph.get_many(["me", "users/nobody", "users?$top=100", "me/photo/$value"])
    name = items[0].body["displayName"]
    html = items._repr_html_()
    assert name not in repr(items) + html
    assert "<BatchItem 200: dict: businessPhones, displayName, givenName, …>" in repr(items)
    assert "250 rows" in repr(items)
    assert "4 results, 1 error (Request_ResourceNotFound: 1)" in html
    assert repr(BatchItem(False, None, None, GraphError("x", code="lost"))).endswith(
        "status: lost>"
    )


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"@odata.context": "x", "id": "1"}, "dict: id"),
        ({"a": 1, "b": 2, "c": 3}, "dict: a, b, c"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "dict: a, b, c, …"),
        ({"@odata.context": "x"}, "dict: no names"),
        ({"value": [{}]}, "1 row"),
        ({"value": []}, "0 rows"),
    ],
)
def test_the_summary_of_a_result(body: object, shown: str) -> None:
    assert BatchItem(True, 200, body).summary == shown


def test_results_have_one_line_that_counts_them() -> None:
    one = BatchItems([BatchItem(True, 200, {"id": "1"})])
    assert one._repr_html_().endswith("<p>1 result, 0 errors</p>")
    assert BatchItems()._repr_html_() == "<p>0 results, 0 errors</p>"
    assert "<p>the first 20 of 30 results, 0 errors</p>" in BatchItems([*one] * 30)._repr_html_()


def test_a_progress_bar_counts_requests(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr("nbauth.msgraph.progress.Progress.update", lambda _, n: counted.append(n))
    graph.get_many(paths(faulty_graph, 30))
    assert sum(counted) == 30


# ── collections ─────────────────────────────────────────────────────────────────────────────


def test_collections_are_complete(graph: Graph, faulty_graph: FaultyGraph) -> None:
    users, me, messages = graph.get_many(["users?$top=90", "me", "me/messages?$top=25"])
    assert [row["id"] for row in users.body["value"]] == list(faulty_graph.users.rows)
    assert len(messages.body["value"]) == 60 and me.ok
    assert changes.NEXT not in users.body
    assert sizes(faulty_graph) == [3, 2, 2]


def test_a_limit_ends_collections(graph: Graph, faulty_graph: FaultyGraph) -> None:
    items = graph.get_many(["users?$top=9", "users?$top=100", "users?$top=5"], limit=10)
    assert [len(one.body["value"]) for one in items] == [10, 10, 10]
    assert sizes(faulty_graph) == [3, 2]


def test_delta_links_are_kept(graph: Graph, faulty_graph: FaultyGraph) -> None:
    [item] = graph.get_many(["users/delta"])
    assert len(item.body["value"]) == 250 and item.body[changes.DELTA]


@pytest.mark.parametrize(
    ("on", "change", "code"),
    [
        (2, changes.self_link, "loop"),
        (1, changes.changed_link("https:", "http:"), "foreign_link"),
        (2, changes.without_value, "not_a_list"),
        (2, replies.refusal(500, "Broken", "No."), "Broken"),
    ],
)
def test_a_collection_that_is_not_complete_is_an_error(
    graph: Graph, faulty_graph: FaultyGraph, on: int, change: Any, code: str
) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=on, answer=change)
    item, other = graph.get_many(["users?$top=100", "me"])
    assert other.ok and not item.ok and item.error is not None
    assert item.error.code == code and len(item.error.rows) >= 100
    assert not faulty_graph.leaks
