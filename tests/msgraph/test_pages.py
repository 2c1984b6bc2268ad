"""Lists are complete, or they raise."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.interrupted import GraphInterrupted
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply
from tests.kernel.conftest import until

HARMLESS = {
    "empty page": changes.empty_page,
    "gzip": changes.gzipped,
    "chunked": changes.chunked,
    "byte order mark": changes.with_bom,
}
WRONG = {
    "self link": (changes.self_link, "loop"),
    "relative link": (changes.relative_link, "foreign_link"),
    "http": (changes.changed_link("https:", "http:"), "foreign_link"),
    "a link that is a number": (changes.with_link(5), "foreign_link"),
    "a link that is a dict": (changes.with_link({"a": 1}), "foreign_link"),
    "no value": (changes.without_value, "not_a_list"),
    "value is null": (changes.null_value, "not_a_list"),
    "truncated": (changes.truncated(0.5), "not_json"),
    "a page of HTML": (replies.proxy_page(200), "not_json"),
    "an empty body": (Reply(200, b""), "not_json"),
    "no content": (Reply(204), "not_json"),
    "an array": (Reply(200, b"[]"), "not_a_list"),
    "redirect": (replies.redirect("/v1.0/users"), "redirected"),
}


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


@pytest.fixture
def all_ids(faulty_graph: FaultyGraph) -> list[str]:
    return list(faulty_graph.users.rows)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("on", [1, 2, 3])
def test_harmless_pages(
    graph: Graph, faulty_graph: FaultyGraph, all_ids: list[str], change: Any, on: int
) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=on, answer=change)
    found = ids(graph.list("users", top=60))
    assert found == all_ids if change is not changes.empty_page else len(found) == 190


@pytest.mark.parametrize("link", [None, "", False])
def test_a_link_that_is_none_is_the_end(
    graph: Graph, faulty_graph: FaultyGraph, link: object
) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=2, answer=changes.with_link(link))
    assert len(ids(graph.list("users", top=60))) == 120


@pytest.mark.parametrize(("answer", "code"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("on", [1, 2])
def test_wrong_pages_raise_and_nothing_goes_elsewhere(
    graph: Graph, faulty_graph: FaultyGraph, answer: Any, code: str, on: int
) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=on, answer=answer)
    rows, read = graph.list("users", top=60), []
    with pytest.raises(GraphError) as caught:
        read += rows
    assert caught.value.code == code
    assert len(faulty_graph.requests) <= on + 1
    assert not faulty_graph.elsewhere.requests and not faulty_graph.insecure.requests
    assert faulty_graph.leaks == []


@pytest.mark.parametrize("where", ["elsewhere", "insecure", "storage"])
def test_a_link_to_another_host_is_refused_before_dialing(
    graph: Graph, faulty_graph: FaultyGraph, where: str
) -> None:
    other = getattr(faulty_graph, where)
    change = changes.changed_link(faulty_graph.root, other.root)
    faulty_graph.fail("GET", "/v1.0/users", on=1, answer=change)
    with pytest.raises(GraphError) as caught:
        list(graph.list("users", top=60))
    assert caught.value.code == "foreign_link"
    assert other.requests == [] and len(faulty_graph.requests) == 1


def test_a_loop_of_two_links_is_found_at_the_first_repeated_link(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    links: list[str] = []

    def loop(reply: Reply, _: Recorded) -> Reply:
        links.append(reply.data["@odata.nextLink"])
        return Reply(200, {**reply.data, "@odata.nextLink": links[(len(links) - 1) % 2]})

    faulty_graph.fail("GET", "/v1.0/users", each=True, answer=loop)
    with pytest.raises(GraphError, match="loop"):
        list(graph.list("users", top=10))
    assert len(faulty_graph.requests) <= 4


def test_a_link_in_the_text_of_a_row_is_no_link(graph: Graph, faulty_graph: FaultyGraph) -> None:
    evil = f'"@odata.nextLink": "{faulty_graph.elsewhere.root}/v1.0/x"'
    rows = [{"id": "1", "note": evil, "inner": {"@odata.nextLink": f"{faulty_graph.root}/v1.0/y"}}]
    faulty_graph.fail("GET", "/v1.0/users", on=1, answer=Reply(200, {"value": rows}))
    assert list(graph.list("users")) == rows
    assert not faulty_graph.elsewhere.requests


def test_search_repeats_its_header_and_keeps_the_count(
    graph: Graph, faulty_graph: FaultyGraph, bench: Any
) -> None:
    rows = graph.list("users", search="displayName:a", count=True, top=20)
    found = ids(rows)
    assert len(found) > 20 and rows.count == len(found)
    assert all(each.headers["consistencylevel"] == "eventual" for each in faulty_graph.requests)
    said = [line for line in bench.screen.said if "ConsistencyLevel" in line]
    assert len(said) == 1


@pytest.mark.timing
def test_interrupt_at_page_seven_keeps_six_and_resumes(
    graph: Graph, faulty_graph: FaultyGraph, all_ids: list[str]
) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def hold(reply: Reply, _: Recorded) -> Reply:
        waiting.set()
        go_on.wait(10)
        return reply

    faulty_graph.fail("GET", "/v1.0/users", on=7, answer=hold)

    def interrupt() -> None:
        waiting.wait(10)
        time.sleep(0.05)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(GraphInterrupted) as caught:
        graph.df("users", top=10, to="table")
    assert time.monotonic() - began < 1.5
    go_on.set()
    partial = graph.partial
    assert partial is not None and ids(partial.rows) == all_ids[:60] == ids(caught.value.rows)
    rest = ids(graph.list(str(partial.next_link)))
    assert ids(partial.rows) + rest == all_ids


def test_an_interrupt_while_the_frame_is_made_keeps_all_rows(
    graph: Graph, all_ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nbauth.msgraph.frames.frame.frame", interrupted)
    with pytest.raises(GraphInterrupted) as caught:
        graph.df("users", to="table")
    assert graph.partial is not None and ids(graph.partial.rows) == all_ids
    assert graph.partial.next_link is None
    (line,) = caught.value._render_traceback_()
    assert "250 rows were read" in line and line.endswith("; these are all rows.")


@pytest.mark.parametrize("to", ["excel", "polars", "pandas"])
def test_a_frame_that_cannot_be_made_is_refused_before_rows_are_read(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch, to: Any
) -> None:
    monkeypatch.setitem(sys.modules, to, None)
    sent = len(faulty_graph.requests)
    with pytest.raises(ConfigurationError):
        graph.df("users", to=to)
    assert len(faulty_graph.requests) == sent


def test_rows_say_what_they_are(graph: Graph) -> None:
    rows = graph.list("users", select="id", top=200)
    assert repr(rows) == "<Rows of users, more pages follow>"
    assert len(list(rows)) == 250 and repr(rows) == "<Rows of users>"


def test_the_same_rows_go_on_after_an_error(
    graph: Graph, faulty_graph: FaultyGraph, all_ids: list[str]
) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=3, answer=replies.refusal(400, "BadRequest", "No."))
    rows, found = graph.list("users", top=50), []
    with pytest.raises(GraphError):
        for row in rows:
            found.append(row["id"])
    assert found == all_ids[:100]
    assert found + ids(rows) == all_ids


@pytest.mark.parametrize("limit", [0, 1, 7, 10, 11, 249, 250, 251])
def test_limit(graph: Graph, faulty_graph: FaultyGraph, all_ids: list[str], limit: int) -> None:
    assert ids(graph.list("users", limit=limit, top=10)) == all_ids[:limit]
    assert len(faulty_graph.requests) == min(-(-limit // 10), 25)


def test_the_largest_documented_page_is_requested(graph: Graph, faulty_graph: FaultyGraph) -> None:
    list(graph.list("users"))
    assert [request.target for request in faulty_graph.requests] == [b"/v1.0/users?$top=999"]


def test_a_smaller_largest_page_is_found(
    graph: Graph, faulty_graph: FaultyGraph, all_ids: list[str]
) -> None:
    refused = replies.refusal(400, "Request_UnsupportedQuery", "$top is too large.")
    faulty_graph.fail("GET", "/v1.0/users", on=1, answer=refused)
    assert ids(graph.list("users")) == all_ids


def test_own_page_size_is_not_repaired(graph: Graph, faulty_graph: FaultyGraph) -> None:
    refused = replies.refusal(400, "Request_UnsupportedQuery", "$top is too large.")
    faulty_graph.fail("GET", "/v1.0/users", on=1, answer=refused)
    with pytest.raises(GraphError):
        list(graph.list("users", top=999))
    assert len(faulty_graph.requests) == 1


ODD = [
    "O'Brien",
    "100%",
    "a#b",
    "a+b",
    "😀",
    "a/b",
    "a b",
    "a?b",
    "a&b=c",
    "%41",
    "ä",
    "a\\b",
    "x%2Fy",
]


@pytest.mark.parametrize("value", ODD)
def test_odd_values_arrive_as_they_are(graph: Graph, faulty_graph: FaultyGraph, value: str) -> None:
    answer = graph.get(
        ["echo", value, "end"],
        filter=graph.odata("surname eq {}", value),
        params={"plain": value},
    )
    assert answer["segments"] == [value, "end"]
    quoted = value.replace("'", "''")
    assert answer["query"] == [["$filter", f"surname eq '{quoted}'"], ["plain", value]]


def test_a_page_is_requested_while_the_last_one_is_used(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    rows = graph.list("users", top=10)
    next(rows)
    until(lambda: len(faulty_graph.requests) == 2)
    time.sleep(0.02)
    assert len(faulty_graph.requests) == 2, "one page ahead, not more"


def test_an_expanded_list_that_is_cut_is_told_once(
    graph: Graph, faulty_graph: FaultyGraph, bench: Any
) -> None:
    def cut(reply: Reply, _: Recorded) -> Reply:
        rows = [
            {**row, "members": [], "members@odata.nextLink": f"{faulty_graph.root}/v1.0/x"}
            for row in reply.data["value"]
        ]
        return Reply(200, {**reply.data, "value": rows})

    faulty_graph.fail("GET", "/v1.0/users", each=True, answer=cut)
    assert len(list(graph.list("users", top=50))) == 250
    told = [line for line in bench.screen.said if "expanded list members" in line]
    assert len(told) == 1
