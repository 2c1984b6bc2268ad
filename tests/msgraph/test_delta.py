"""Delta queries: replays, removals, resets (contract test 6)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.interrupted import GraphInterrupted
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply

PATH = "/v1.0/users/delta"


def by_id(rows: list[Any]) -> dict[str, Any]:
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "each row is there once"
    return found


def pages(faulty_graph: FaultyGraph, *contents: list[Any], path: str = PATH) -> None:
    """Answer the requests of a delta query with these rows."""
    number = iter(range(len(contents)))

    def answer(_: Reply, request: Recorded) -> Reply:
        at = next(number)
        last = at == len(contents) - 1
        name = changes.DELTA if last else changes.NEXT
        token = f"$deltatoken=d{at}" if last else f"$skiptoken=s{at}"
        return Reply(200, {"value": contents[at], name: f"{faulty_graph.root}{path}?{token}"})

    faulty_graph.fail("GET", path, answer=answer)


def test_delta_replays_removals_and_a_reset_in_mid_run(
    graph: Graph, faulty_graph: FaultyGraph, bench: Any
) -> None:
    """Contract test 6."""
    faulty_graph.users.replay = True
    known: dict[str, Any] = {}
    first = graph.delta("users/delta", select="id,displayName", top=40)
    assert first.removed == {} and not first.reset and first.next_link is None
    assert by_id(first.rows).keys() == faulty_graph.users.rows.keys()
    first.apply_to(known)
    one, other, back = list(faulty_graph.users.rows)[:3]
    faulty_graph.users.change(one, displayName="New")
    faulty_graph.users.remove(other)
    rows, state = second = graph.delta("users/delta", first.state)
    assert [row["displayName"] for row in rows] == ["New"]
    assert second.removed == {other: "deleted"}
    second.apply_to(known)
    assert known.keys() == faulty_graph.users.rows.keys() and known[one]["displayName"] == "New"
    for number, ident in enumerate(faulty_graph.users.rows):
        faulty_graph.users.change(ident, displayName=f"Name {number}")
    faulty_graph.users.remove(back)
    gone = replies.gone(f"{faulty_graph.root}{PATH}?$top=60")
    faulty_graph.fail("GET", PATH, on=2, answer=gone)
    third = graph.delta("users/delta", state)
    assert third.reset and third.removed == {}
    third.apply_to(known)
    assert known == by_id(third.rows) and known.keys() == faulty_graph.users.rows.keys()
    assert len([line for line in bench.screen.said if "dropped the state" in line]) == 1
    assert graph.delta("users/delta", third.state).rows == []


@pytest.mark.parametrize(
    ("on", "answer"),
    [
        (1, replies.lost_state()),
        (2, replies.lost_state("resyncRequired")),
        (2, replies.refusal(410, "resyncChangesApplyDifferences")),
        (2, replies.refusal(410, "ResyncChangesUploadDifferences")),
        (3, Reply(410, b"")),
    ],
)
def test_one_reset(graph: Graph, faulty_graph: FaultyGraph, on: int, answer: Reply) -> None:
    faulty_graph.fail("GET", PATH, on=on, answer=answer)
    found = graph.delta("users/delta", top=100)
    assert found.reset and by_id(found.rows).keys() == faulty_graph.users.rows.keys()
    assert len(faulty_graph.requests) == on + 3


def test_resets_end(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", PATH, answer=replies.lost_state())
    with pytest.raises(GraphError) as caught:
        graph.delta("users/delta")
    assert caught.value.code == "syncStateNotFound" and len(faulty_graph.requests) == 2


def test_another_refusal_is_no_reset(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", PATH, answer=replies.refusal(400, "BadRequest"))
    with pytest.raises(GraphError):
        graph.delta("users/delta")
    assert len(faulty_graph.requests) == 1


@pytest.mark.parametrize("where", ["elsewhere", "insecure", "storage"])
@pytest.mark.parametrize("how", ["location", "next", "delta", "state"])
def test_links_to_other_hosts_are_refused_before_dialing(
    graph: Graph, faulty_graph: FaultyGraph, where: str, how: str
) -> None:
    other = getattr(faulty_graph, where)
    link = f"{other.root}{PATH}?$deltatoken=1"
    state = link if how == "state" else None
    if how == "location":
        faulty_graph.fail("GET", PATH, on=1, answer=replies.gone(link))
    elif how != "state":
        name = changes.NEXT if how == "next" else changes.DELTA
        only = Reply(200, {"value": [], name: link})
        faulty_graph.fail("GET", PATH, on=1, answer=only)
    with pytest.raises((GraphError, ConfigurationError)) as caught:
        graph.delta("users/delta", state)
    assert caught.value.code in ("foreign_link", "other_host")
    assert other.requests == [] and len(faulty_graph.requests) == (how != "state")


@pytest.mark.parametrize(
    "state",
    ["", " ", "x", 5, b"https://x", "{root}/v1.0/groups/delta?$deltatoken=1",
     "{root}/beta/users/delta?$deltatoken=1", "{root}/v1.0/users?$skiptoken=1"],
)  # fmt: skip
def test_a_state_of_another_path_is_refused(
    graph: Graph, faulty_graph: FaultyGraph, state: Any
) -> None:
    if isinstance(state, str):
        state = state.replace("{root}", faulty_graph.root)
    with pytest.raises(ConfigurationError, match="Nothing was sent") as caught:
        graph.delta("users/delta", state)
    assert caught.value.code == "bad_state" and faulty_graph.requests == []


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("me/mailFolders/inbox/messages/delta", "me/mailfolders('AQ=')/messages/delta"),
        ("me/drive/root/delta", "drives('b!x')/root/delta(token='1')"),
        ("me/drive/root:/a b:/delta", "drives/b!x/items/1/delta"),
        ("users/delta()", "users/delta"),
    ],
)
def test_a_state_may_write_its_path_in_another_way(
    graph: Graph, faulty_graph: FaultyGraph, path: str, link: str
) -> None:
    faulty_graph.fail(
        "GET", "*", answer=Reply(200, {"value": [], changes.DELTA: graph.root.url("users")})
    )
    graph.delta(path, f"{faulty_graph.root}/v1.0/{link}?token=1\n")
    assert len(faulty_graph.requests) == 1


def test_a_path_that_is_no_delta_query(graph: Graph, faulty_graph: FaultyGraph) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        graph.delta("users")
    assert faulty_graph.requests == []


def test_a_last_page_without_a_delta_link(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", PATH, answer=Reply(200, {"value": [{"id": "1"}]}))
    with pytest.raises(GraphError) as caught:
        graph.delta("users/delta")
    assert caught.value.code == "no_delta_link" and caught.value.rows == [{"id": "1"}]


def test_a_loop(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", PATH, answer=changes.self_link)
    with pytest.raises(GraphError, match="loop"):
        graph.delta("users/delta", top=10)


def test_the_last_version_counts(graph: Graph, faulty_graph: FaultyGraph) -> None:
    gone = {"id": "1", "@removed": {"reason": "changed"}}
    file, folder = {"id": "5", "name": "a"}, {"id": "5", "deleted": {"state": "deleted"}}
    pages(
        faulty_graph,
        [{"id": "1", "a": 1}, {"id": "2", "@removed": {"reason": "deleted"}}, file],
        [gone, {"id": "2", "a": 2}, {"id": "3", "a": 3, "b": 1}, {"note": "no id"}],
        [{"id": "3", "a": 4}, {"id": "4", "@removed": None}, folder],
    )
    found = graph.delta("users/delta")
    rows = [{"id": "2", "a": 2}, {"id": "3", "a": 4}, {"id": "4", "@removed": None}]
    assert found.rows == [*rows, {"note": "no id"}]
    assert found.removed == {"1": "changed", "5": "deleted"}
    known: dict[str, Any] = {"1": {"id": "1"}, "2": {"id": "2", "a": 0, "kept": True}}
    found.apply_to(known)
    assert known == {"2": {"id": "2", "a": 2, "kept": True}, "3": rows[1], "4": rows[2]}


def test_members_of_a_group_that_are_spread_over_pages(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    removed = {"id": "b", "@removed": {"reason": "deleted"}}
    pages(
        faulty_graph,
        [{"id": "1", "displayName": "G", "members@delta": [{"id": "a"}, {"id": "b"}]}],
        [{"id": "1", "members@delta": [removed, {"id": "c"}]}],
    )
    (group,) = graph.delta("users/delta").rows
    assert group["displayName"] == "G"
    assert group["members@delta"] == [{"id": "a"}, removed, {"id": "c"}]


def test_options_are_sent_once_and_headers_with_each_page(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    prefer = {"Prefer": "odata.maxpagesize=50"}
    first = graph.delta("me/messages/delta", select="id", headers=prefer)
    again = graph.delta("me/messages/delta", first.state, select="id", headers=prefer)
    assert again.rows == [] and len(first.rows) == 60
    assert all(each.headers["prefer"] == prefer["Prefer"] for each in faulty_graph.requests)
    assert [b"$select" in each.target for each in faulty_graph.requests[:2]] == [True, False]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GraphError])
def test_an_interrupt_keeps_the_rows_and_the_state_goes_on(
    graph: Graph, faulty_graph: FaultyGraph, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = graph._sender.transport.send
    sent: list[str] = []

    def cut(request: Any) -> Any:
        if len(sent) == 3:
            raise error("stop") if error is GraphError else KeyboardInterrupt
        sent.append(request.url)
        return send(request)

    monkeypatch.setattr(graph._sender.transport, "send", cut)
    with pytest.raises((GraphInterrupted, GraphError)) as caught:
        graph.delta("users/delta", top=50)
    monkeypatch.undo()
    partial = graph.partial
    assert partial is not None and len(partial.rows) == len(caught.value.rows) == 150
    assert partial.next_link == caught.value.next_link
    known: dict[str, Any] = {}
    partial.apply_to(known)  # type: ignore[union-attr]
    graph.delta("users/delta", partial.next_link).apply_to(known)
    assert known.keys() == faulty_graph.users.rows.keys()


def test_changes_are_a_plain_pair(graph: Graph, faulty_graph: FaultyGraph) -> None:
    found = graph.delta("users/delta", top=200)
    rows, state = found
    assert type(state) is str and "token=" in state and rows is found.rows
    for made in (pickle.loads(pickle.dumps(found)), copy.copy(found)):
        assert made == found and made.removed == found.removed and made.state == state
    assert repr(found) == "<Changes: 250 rows, 0 removed>"
    for request in faulty_graph.requests:
        assert request.token and request.token not in state
