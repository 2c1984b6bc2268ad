"""Batches that Graph refuses, in part or as a whole, and responses that are wrong."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbauth.core.errors import GraphError
from nbauth.msgraph.batch.items import BatchItem
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.replies import Reply
from tests.kernel.conftest import Bench

BATCH = "/v1.0/$batch"
MAIL = {"method": "POST", "path": "me/sendMail", "json": {}}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbauth.msgraph.throttle.FIRST", 0.01)
    monkeypatch.setattr("nbauth.msgraph.throttle.LONGEST", 0.02)
    monkeypatch.setattr("nbauth.msgraph.batch.outcomes.AGAIN_AFTER", 0.01)
    monkeypatch.setattr("nbauth.msgraph.batch.batches.QUIET", 0.01)


def codes(items: list[BatchItem]) -> list[str | None]:
    return [one.error and one.error.code for one in items]


# ── members ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("after", ["0.05", None, "0", "soon", "Thu, 01 Jan 2026 00:00:00 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_refused_member_is_sent_again(
    graph: Graph, faulty_graph: FaultyGraph, after: str | None, status: int
) -> None:
    fault = faulty_graph.fail(
        "GET", "/v1.0/me", on=(1, 2), answer=replies.throttled(after, status=status)
    )
    items = graph.get_many(["users?$top=1&$count=true", "me"], limit=1)
    assert all(one.ok for one in items)
    assert len(fault.hits) == 2 and faulty_graph.early == []


def test_a_member_waits_until_its_date(graph: Graph, faulty_graph: FaultyGraph) -> None:
    def refuse(_: Reply, __: Any) -> Reply:
        return replies.throttled(replies.at_date(1.0, time.time()))

    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=refuse)
    began = time.time()
    assert all(one.ok for one in graph.get_many(["me"]))
    assert time.time() >= int(began + 1.0) and len(faulty_graph.requests) == 2


def test_a_member_that_asks_to_wait_too_long_has_an_error(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.throttled(86_400))
    me, other = graph.get_many(["me", "users/nobody"])
    assert me.error is not None and "86,400 s" in str(me.error)
    assert (me.status, me.error.retry_after, other.status) == (429, 86_400, 404)


def test_a_member_that_stays_refused_has_an_error(graph: Graph, faulty_graph: FaultyGraph) -> None:
    fault = faulty_graph.fail("GET", "/v1.0/me", answer=replies.throttled(0.01))
    [item] = graph.get_many(["me"])
    assert item.error is not None and "8 times" in str(item.error)
    assert len(fault.hits) == 8


def test_a_post_is_repeated_after_429_only(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("POST", "/v1.0/me/sendMail", on=1, answer=replies.throttled(0.02))
    faulty_graph.fail("POST", "/v1.0/me/sendMail", on=2, answer=replies.throttled(0, status=503))
    items = graph.batch([MAIL, MAIL])
    assert sorted(one.status or 0 for one in items) == [202, 503]
    error = next(one.error for one in items if one.error)
    assert "unknown whether it was carried out" in str(error)


def test_a_service_that_refuses_most_members_is_paused(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    """Also for the members that were not sent yet, and for other calls."""
    users = [f"users/{ident}" for ident in list(faulty_graph.users.rows)[:40]]
    fault = faulty_graph.fail(
        "GET", "/v1.0/users/*", on=range(1, 21), answer=replies.throttled(0.2)
    )
    began = time.monotonic()
    assert all(one.ok for one in graph.get_many(users, width=1))
    assert time.monotonic() - began >= 0.2
    assert len(fault.hits) == 20 and len(faulty_graph.requests) == 3
    assert min(one.at for one in faulty_graph.requests[1:]) - faulty_graph.requests[0].at >= 0.2


def test_members_wait_for_the_pause_of_another_call(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    transport = graph._sender.transport
    transport.pauses.add(transport.key(graph._sender.request("GET", "me/messages", {})), 0.15)
    began = time.monotonic()
    assert all(one.ok for one in graph.get_many(["me/messages?$top=60", "users/nobody", "me"])[::2])
    assert [one.path for one in faulty_graph.members][-1] == "/v1.0/me/messages"
    assert faulty_graph.members[-1].at - began >= 0.14 > faulty_graph.members[0].at - began


def test_a_service_that_refuses_all_for_too_long_ends_the_call(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbauth.msgraph.batch.batches.MOST_SECONDS", 0.2)
    faulty_graph.fail("GET", "/v1.0/users/*", answer=replies.throttled(0.15))
    items = graph.get_many([f"users/{at}" for at in range(45)], width=1)
    assert {*codes(items)} == {"throttled"} and len(items) == 45
    assert len(faulty_graph.requests) < 4


def test_a_long_wait_is_announced_once(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbauth.msgraph.batch.batches.ANNOUNCED", 0.05)
    faulty_graph.fail("GET", "/v1.0/users/*", each=True, on=1, answer=replies.throttled(0.1))
    graph.get_many([f"users/{at}" for at in range(45)], width=3)
    assert len([line for line in bench.screen.said if "asks to wait" in line]) == 1


def test_a_redirect_of_a_member_names_download(graph: Graph, faulty_graph: FaultyGraph) -> None:
    secret = f"{faulty_graph.storage.root}/file?sig=s3cret"
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.redirect(secret))
    [item] = graph.get_many(["me"])
    assert item.status == 302 and item.error is not None and item.body is None
    assert "download" in item.error.hint and "s3cret" not in str(item.error)


def test_a_forbidden_member_is_an_error_in_place(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.forbidden("User.Read.All"))
    me, other = graph.get_many(["me", "users?$top=250"])
    assert me.status == 403 and other.ok and me.error is not None and me.error.hint


# ── replies that lack something ─────────────────────────────────────────────────────────────


def conflicting(replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*replies, {"id": "0", "status": 200, "body": {"id": "other"}}]


def without_status(replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "status": None} if one["id"] == "0" else one for one in replies]


def with_other_types(replies: list[dict[str, Any]]) -> list[Any]:
    return [
        5,
        None,
        *({**one, "id": int(one["id"]), "status": str(one["status"])} for one in replies),
    ]


WRONG = {
    "missing": (changes.missing_member("0"), True),
    "conflicting": (changes.members(conflicting), True),
    "without a status": (changes.members(without_status), True),
    "no list": (changes.edited(lambda batch: batch.pop("responses")), True),
    "truncated": (changes.truncated(0.5), True),
    "a page of HTML": (replies.proxy_page(200), True),
    "empty": (Reply(204), True),
    "lost": (changes.lost, True),
    "cut": (replies.cut(), True),
    "busy": (replies.throttled(0.01, status=503), True),
    "refused": (replies.throttled(0.01), True),
    "twice": (changes.duplicate_member("0"), False),
    "unknown": (changes.unknown_member("7"), False),
    "base64": (changes.base64_member("0"), False),
    "other types": (changes.members(with_other_types), False),
    "a byte order mark": (changes.with_bom, False),
}


@pytest.mark.parametrize(("answer", "again"), WRONG.values(), ids=WRONG)
def test_what_is_missing_is_read_again(
    graph: Graph, faulty_graph: FaultyGraph, answer: Any, again: bool
) -> None:
    faulty_graph.fail("POST", BATCH, on=1, answer=answer)
    items = graph.get_many(["me", "users?$top=250", "me?$select=id"])
    assert all(one.ok for one in items)
    assert items[0].body["id"] == items[2].body["id"]
    assert len(faulty_graph.requests) == (2 if again else 1)


@pytest.mark.parametrize(
    "name", ["missing", "no list", "truncated", "a page of HTML", "lost", "cut", "busy"]
)
def test_a_post_without_a_response_is_not_sent_again(
    graph: Graph, faulty_graph: FaultyGraph, name: str
) -> None:
    faulty_graph.fail("POST", BATCH, on=1, answer=WRONG[name][0])
    post, me = graph.batch([MAIL, "me"])
    assert me.ok and post.error is not None
    assert "unknown whether it was carried out" in str(post.error)
    assert str(post.error).count("unknown") == 1 and post.error.hint
    assert len(faulty_graph.sent) <= 1


def test_a_post_in_a_batch_that_is_refused_is_sent_again(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.fail("POST", BATCH, on=1, answer=replies.throttled(0.05))
    assert [one.status for one in graph.batch([MAIL, MAIL])] == [202, 202]
    assert len(faulty_graph.sent) == 2 and faulty_graph.early == []


@pytest.mark.parametrize("name", ["missing", "lost", "truncated"])
def test_what_stays_missing_is_an_error(graph: Graph, faulty_graph: FaultyGraph, name: str) -> None:
    def fails(request: Any) -> bool:
        return b'"id": "0"' in request.body

    faulty_graph.fail("POST", BATCH, answer=WRONG[name][0], when=fails)
    faulty_graph.latency = 0.03
    items = graph.get_many(["me"] * 40, width=1)
    assert items[0].error is not None and "unknown" not in str(items[0].error)
    assert all(one.ok for one in items[20:])


def test_a_graph_that_cannot_be_reached_ends_the_call(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.fail("POST", BATCH, on=range(3, 99), answer=replies.cut())
    with pytest.raises(GraphError) as caught:
        graph.get_many(["me"] * 200, width=1)
    assert len(faulty_graph.requests) <= 8
    assert graph.partial is not None and graph.partial.rows == caught.value.rows
    assert [row is not None for row in graph.partial.rows] == [True] * 40 + [False] * 160


def test_after_a_lost_connection_nothing_is_sent_for_a_moment(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome of few requests is unknown then, not that of all."""
    monkeypatch.setattr("nbauth.msgraph.batch.batches.QUIET", 0.1)
    down: list[float] = []

    def lost(reply: Reply, _: Any) -> Reply:
        down.append(time.monotonic())
        return replies.cut()

    faulty_graph.fail(
        "POST", BATCH, answer=lost, when=lambda one: not down or one.at < down[0] + 0.05
    )
    items = graph.batch([MAIL] * 200, width=1)
    assert sum(one.ok for one in items) == 180 == len(faulty_graph.sent) - 20


def test_a_closed_port_ends_the_call(graph: Graph, faulty_graph: FaultyGraph) -> None:
    graph.get_many(["me"])
    object.__setattr__(graph.root, "address", "https://127.0.0.1:9")
    graph._hosts["127.0.0.1:9"] = next(iter(graph._hosts.values()))
    with pytest.raises(GraphError) as caught:
        graph.batch([MAIL])
    assert caught.value.code in ("no_connection", "refused")
    assert graph.partial is not None and graph.partial.rows == [None]


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_refusal_of_all_batches_is_raised(
    graph: Graph, faulty_graph: FaultyGraph, status: int
) -> None:
    answer = replies.redirect("https://x.example/") if status == 302 else replies.refusal(status)
    faulty_graph.fail("POST", BATCH, on=range(2, 99), answer=answer)
    with pytest.raises(GraphError) as caught:
        graph.get_many(["me"] * 60, width=1)
    assert caught.value.status == status
    assert [row is not None for row in caught.value.rows] == [True] * 20 + [False] * 40


def test_a_batch_that_fails_is_an_error_of_its_members(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.fail("POST", BATCH, on=1, answer=replies.refusal(500))
    items = graph.batch([*["me"] * 19, MAIL, "me"], width=1)
    assert [one.status for one in items] == [500] * 20 + [200]
    assert ["unknown" in str(one.error) for one in items[18:20]] == [False, True]


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_for_one_member_is_divided(
    graph: Graph, faulty_graph: FaultyGraph, status: int
) -> None:
    faulty_graph.fail(
        "POST", BATCH, answer=replies.refusal(status), when=lambda one: b"nobody" in one.body
    )
    items = graph.batch([*["me"] * 7, "users/nobody", *["me"] * 12])
    assert [one.status for one in items] == [200] * 7 + [status] + [200] * 12
    assert len(faulty_graph.requests) <= 11
