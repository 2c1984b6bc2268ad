"""Batches with random faults: what is told about each request is true."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from nbauth.core.errors import GraphError
from nbauth.msgraph.batch.items import BatchRequest
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies

MEMBER_FAULTS = [replies.throttled(0.02), replies.throttled(), replies.throttled(0, status=503)]


def shuffled(chance: random.Random) -> Any:
    return changes.members(lambda found: chance.sample(found, len(found)))


def without_some(chance: random.Random) -> Any:
    return changes.members(lambda found: [one for one in found if chance.random() < 0.8])


def batch_fault(chance: random.Random) -> Any:
    return chance.choice(
        [
            replies.throttled(0.02), replies.throttled(0.02, status=503), replies.cut(),
            replies.proxy_page(200), changes.lost, changes.truncated(0.5), shuffled(chance),
            without_some(chance), replies.refusal(400), replies.refusal(500),
        ]
    )  # fmt: skip


def requests(chance: random.Random, ids: list[str]) -> list[BatchRequest]:
    made: list[BatchRequest] = []
    while len(made) < 90:
        at = len(made)
        kind = chance.choice(["read", "read", "list", "send", "none"])
        needs = (at - 1,) if at and chance.random() < 0.1 else ()
        if needs and made[at - 1].depends_on:
            needs = ()
        match kind:
            case "read":
                made.append(BatchRequest("GET", f"users/{ids[at]}", depends_on=needs))
            case "list":
                made.append(BatchRequest("GET", "users?$top=100&$select=id", depends_on=needs))
            case "send":
                mail = {"message": {"subject": str(at)}}
                made.append(BatchRequest("POST", "me/sendMail", mail, depends_on=needs))
            case "none":
                made.append(BatchRequest("GET", f"users/nobody{at}", depends_on=needs))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_what_is_told_is_true(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for name in ("throttle.FIRST", "batch.batches.QUIET", "batch.outcomes.AGAIN_AFTER"):
        monkeypatch.setattr(f"nbauth.msgraph.{name}", 0.01)
    chance = random.Random(seed)
    ids = list(faulty_graph.users.rows)
    given = requests(chance, ids)
    numbers = chance.sample(range(1, 60), 18)
    for number in numbers[:10]:
        faulty_graph.fail("*", "/v1.0/users/*", on=number, answer=chance.choice(MEMBER_FAULTS))
        faulty_graph.fail("POST", "/v1.0/me/*", on=number, answer=chance.choice(MEMBER_FAULTS))
    for number in chance.sample(range(1, 12), 4):
        faulty_graph.fail("POST", "/v1.0/$batch", on=number, answer=batch_fault(chance))
    items: list[Any]
    try:
        items = graph.batch(given, width=chance.choice([1, 3, 8]))
    except GraphError as error:
        items = error.rows
    done = Counter(int(mail["message"]["subject"]) for mail in faulty_graph.sent)
    assert len(items) == len(given) and set(done.values()) <= {1}
    for at, (item, request) in enumerate(zip(items, given, strict=True)):
        if item is None:
            continue
        assert item.ok == (item.error is None)
        if request.method == "POST":
            unknown = item.error is not None and "unknown" in str(item.error)
            assert unknown or item.ok == bool(done[at])
        elif item.ok and "?" in str(request.path):
            assert [row["id"] for row in item.body["value"]] == ids
        elif item.ok:
            assert item.body["id"] == ids[at] and request.path == f"users/{ids[at]}"
