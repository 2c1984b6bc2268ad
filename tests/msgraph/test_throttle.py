"""When a refused request is repeated, and how long nbauth waits before."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from nbauth.core.errors import GraphError
from nbauth.msgraph import throttle, transport
from nbauth.msgraph.client import Graph
from nbauth.msgraph.throttle import retry_after
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.replies import Reply

NOW = 1_800_000_000.0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch, graph: Graph) -> list[float]:
    """The seconds of each wait; nobody waits."""
    found: list[float] = []

    def pause(seconds: float) -> None:
        found.append(seconds)
        graph._here.pauses._until.clear()

    for module in (throttle, transport):
        monkeypatch.setattr(module, "pause", pause)
    return found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("86400", 86400.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Fri, 99 Foo 2027 00:00:00 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text, "Date": formatdate(NOW, usegmt=True)}) == seconds


def test_a_date_without_the_servers_clock_is_compared_with_this_one() -> None:
    found = retry_after({"Retry-After": formatdate(time.time() + 30, usegmt=True)})
    assert found is not None and 25 < found <= 31


@pytest.mark.parametrize(("text", "waited"), [("2", 2.0), ("1.5", 1.5), ("0", 0.0)])
@pytest.mark.parametrize("status", [429, 503, 504, 509])
def test_a_refused_read_is_repeated_after_its_time(
    graph: Graph,
    faulty_graph: FaultyGraph,
    waits: list[float],
    text: str,
    waited: float,
    status: int,
) -> None:
    refused = replies.throttled(text, status=status)
    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=refused)
    assert graph.get("me")["id"]
    assert waits == [waited]


@pytest.mark.parametrize("text", [None, "soon"])
def test_without_a_time_the_waits_grow(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float], text: str | None
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=(1, 2, 3), answer=replies.throttled(text))
    assert graph.get("me")["id"]
    assert len(waits) == 3
    shares = [each / (throttle.FIRST * 2**attempt) for attempt, each in enumerate(waits)]
    assert all(0.5 <= share <= 1 for share in shares)


def test_too_long_a_time_is_refused_at_once(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float]
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=replies.throttled("86400"))
    with pytest.raises(GraphError, match="86,400 s; nbauth waits 300 s at most") as caught:
        graph.get("me")
    assert caught.value.retry_after == 86400
    assert waits == [] and len(faulty_graph.requests) == 1
    assert graph.get("me")["id"], "other calls do not wait for it"


def test_the_waits_of_a_call_have_a_limit_in_all(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float]
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.throttled("100"))
    with pytest.raises(GraphError, match="300 s at most"):
        graph.get("me")
    assert sum(waits) == 300


def test_no_time_at_all_again_and_again_ends(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float]
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.throttled("0"))
    with pytest.raises(GraphError, match="sent it 8 times"):
        graph.get("me")
    assert waits[:2] == [0, 0] and min(waits[2:]) > 0.5


@pytest.mark.parametrize("method", ["post", "patch"])
@pytest.mark.parametrize("status", [502, 503, 504, 500])
def test_what_may_have_been_done_is_not_repeated(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float], method: str, status: int
) -> None:
    refused = replies.throttled("1", status=status)
    faulty_graph.fail(method.upper(), "/v1.0/me/x", answer=refused)
    with pytest.raises(GraphError) as caught:
        getattr(graph, method)("me/x", {"a": 1})
    assert caught.value.status == status
    assert waits == [] and len(faulty_graph.requests) == 1


def test_a_throttled_post_is_repeated(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float]
) -> None:
    faulty_graph.fail("POST", "/v1.0/me/sendMail", on=1, answer=replies.throttled("1"))
    assert graph.post("me/sendMail", {"message": {}}) is None
    assert len(faulty_graph.sent) == 1 and waits == [1.0]


@pytest.mark.parametrize("answer", [replies.cut(), changes.cut_at(0.5), changes.lost])
def test_a_read_whose_connection_is_lost_is_repeated(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float], answer: Any
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=(1, 2), answer=answer)
    assert graph.get("me")["id"]
    assert len(waits) == 2


def test_a_read_is_not_repeated_for_ever(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float]
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.cut())
    with pytest.raises(GraphError) as caught:
        graph.get("me")
    assert caught.value.code == "connection_lost" and len(faulty_graph.requests) == 3


def test_a_post_whose_response_is_lost_is_sent_once(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float]
) -> None:
    faulty_graph.fail("POST", "/v1.0/me/sendMail", answer=changes.lost)
    with pytest.raises(GraphError, match="unknown whether it was carried out"):
        graph.post("me/sendMail", {"message": {}})
    assert len(faulty_graph.sent) == 1


def test_a_wait_is_announced_once(
    graph: Graph, faulty_graph: FaultyGraph, waits: list[float], bench: Any
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=replies.throttled("30"))
    graph.get("me")
    assert len([line for line in bench.screen.said if "asks to wait 30 s" in line]) == 1


def test_another_call_waits_too(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        graph._here.pauses._until.clear()

    monkeypatch.setattr(throttle, "pause", pause)
    service = graph._sender.request("GET", "me", {})
    graph._here.pauses.add(graph._sender.transport.key(service), 20)
    graph.get("me")
    assert len(waited) == 1 and 19 < waited[0] <= 20
    assert len(faulty_graph.requests) == 1


def test_a_body_that_arrives_byte_by_byte_ends(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MOST_SECONDS", 0.2)
    slow = changes.sent_as(pace=0.05)
    faulty_graph.fail("GET", "/v1.0/me", answer=slow)
    with pytest.raises(GraphError) as caught:
        graph.get("me")
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b"\xff\xfe", b"[1]", b'{"error": "text"}', b"{}"]
)
def test_a_refusal_in_any_form_has_its_status(
    graph: Graph, faulty_graph: FaultyGraph, body: bytes
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=Reply(400, body))
    with pytest.raises(GraphError, match="400") as caught:
        graph.get("me")
    assert caught.value.status == 400 and caught.value.hint
