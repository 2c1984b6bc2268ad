"""Odd paths, addresses, options and limits: what they mean, or an error before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import numpy
import pandas
import pytest

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.client import Graph
from nbauth.msgraph.odata import odata
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes

ROOT = Root("https://graph.microsoft.com")
V1 = "https://graph.microsoft.com/v1.0"

MEAN = [
    ("https://GRAPH.Microsoft.com/v1.0/me", f"{V1}/me"),
    ("HTTPS://graph.microsoft.com:443/v1.0/me", f"{V1}/me"),
    (f"{V1}/me#part", f"{V1}/me"),
    (f"{V1}/users?$filter=surname eq 'x'", f"{V1}/users?$filter=surname%20eq%20'x'"),
    (f"{V1}/users?$top=5#x", f"{V1}/users?$top=5"),
    ("//me", f"{V1}/me"),
    ("V1.0/me", f"{V1}/me"),
    ("me/", f"{V1}/me/"),
    ("", f"{V1}/"),
    ("me?a=1&a=2", f"{V1}/me?a=1&a=2"),
    ("f(url='https://x/a//b')", f"{V1}/f(url='https://x/a//b')"),
    ("users/ä\u0308", f"{V1}/users/%C3%A4%CC%88"),
]
REFUSED: list[Any] = [
    "me//messages",
    "users/../me",
    "users/%2e%2E/me",
    "users/./me",
    "users/..",
    f"{V1}/users/../../beta/me",
    f"{V1}/me\t",
    "users/\ud800",
    ["users", "\ud800"],
    ["users", None],
    b"me",
    None,
    5,
    {"users": 1},
    "https://u:p@graph.microsoft.com/v1.0/me",
]


@pytest.mark.parametrize(("path", "url"), MEAN)
def test_what_paths_mean(path: str, url: str) -> None:
    assert ROOT.url(path) == url


@pytest.mark.parametrize("path", REFUSED)
def test_paths_that_are_refused(path: Any) -> None:
    if path == f"{V1}/me\t":  # blanks around a path are no part of it
        path = f"{V1}/m\te"
    with pytest.raises(ConfigurationError) as caught:
        ROOT.url(path)
    assert "graph.microsoft.com is not graph.microsoft.com" not in str(caught.value)


def test_a_fragment_is_no_part_of_an_option() -> None:
    url = ROOT.url(f"{V1}/users?$top=5#x", {"select": "id"})
    assert url == f"{V1}/users?$top=5&$select=id"


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": [1, True, "x"]}, "a=1,true,x"),
        ({"a": None, "b": False, "c": 0}, "b=false&c=0"),
        ({"from": datetime(2026, 1, 2, 3, tzinfo=UTC)}, "from=2026-01-02T03:00:00Z"),
        ({}, ""),
    ],
)
def test_params(params: dict[str, object], query: str) -> None:
    assert ROOT.url("me", {"params": params}).partition("?")[2] == query


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (numpy.float64(1.5), "1.5"),
        (numpy.float32(0.5), "0.5"),
        (numpy.int64(7), "7"),
        (numpy.uint8(7), "7"),
        (numpy.bool_(True), "true"),
        (Level.HIGH, "3"),
        (float("inf"), "INF"),
        (float("-inf"), "-INF"),
        (float("nan"), "NaN"),
        ([numpy.int64(1), numpy.str_("a'b")], "(1,'a''b')"),
        (pandas.Timestamp("2026-01-02T03:00:00+02:00"), "2026-01-02T01:00:00Z"),
    ],
)
def test_values_of_frames_are_literals(value: object, text: str) -> None:
    assert odata("{}", value) == text


@pytest.mark.parametrize(
    "value",
    [
        numpy.datetime64("2026-01-02"),
        numpy.array([1]),
        numpy.array(["a"]),
        pandas.NaT,
        object(),
        b"a",
    ],
)
def test_values_without_a_literal_are_refused(value: object) -> None:
    with pytest.raises(ConfigurationError):
        odata("{}", value)


def test_top_of_numpy() -> None:
    assert ROOT.url("users", {"top": numpy.int64(5)}) == f"{V1}/users?$top=5"


@pytest.mark.parametrize(
    "options",
    [
        {"params": "a=b"},
        {"params": {5: 6}},
        {"params": {"$select": "id"}, "select": "mail"},
        {"select": b"id"},
        {"filter": "\ud800"},
        {"headers": [("a", "b")]},
        {"limit": -1},
        {"limit": "5"},
        {"limit": 2.5},
        {"limit": True},
    ],
)
def test_options_that_are_refused(
    graph: Graph, faulty_graph: FaultyGraph, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        list(graph.list("users", **options))
    with pytest.raises(ConfigurationError):
        graph.get_many(["users"], **options)
    assert faulty_graph.requests == []


def test_an_address_in_another_spelling_gets_what_its_path_needs(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    odd = faulty_graph.root.replace("https", "HTTPS")
    assert len(list(graph.list(f"{odd}/v1.0/users#x"))) == 250
    assert [request.target for request in faulty_graph.requests] == [b"/v1.0/users?$top=999"]


@pytest.mark.parametrize(
    "change",
    [
        ("https:", "HTTPS:"),
        ("$skiptoken", "x=a b&$skiptoken"),
        ("$skiptoken", f"x={'y' * 20_000}&$skiptoken"),
    ],
    ids=["upper case", "blanks", "long"],
)
def test_odd_links_are_followed(graph: Graph, faulty_graph: FaultyGraph, change: Any) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=1, answer=changes.changed_link(*change))
    found = [row["id"] for row in graph.list("users", top=100)]
    assert found == list(faulty_graph.users.rows)


def test_links_that_differ_in_their_fragment_are_a_loop(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    numbers = iter(range(100))

    def loop(reply: Any, request: Any) -> Any:
        link = f"{faulty_graph.root}/v1.0/users#{next(numbers)}"
        return changes.with_link(link)(reply, request)

    faulty_graph.fail("GET", "/v1.0/users", each=True, answer=loop)
    with pytest.raises(NbAuthError) as caught:
        list(graph.list("users", top=100))
    assert caught.value.code == "loop"


def test_a_generator_as_option_counts_for_all_requests(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    graph.get_many(["me", "me"], select=(name for name in ["id", "mail"]))
    assert {each.target for each in faulty_graph.members} == {b"/v1.0/me?$select=id,mail"}
    graph.delta("users/delta", select=(name for name in ["id", "mail"]))
    assert faulty_graph.requests[-1].target.startswith(b"/v1.0/users/delta")
    assert b"$select=id,mail" in next(
        each.target for each in faulty_graph.requests if b"delta" in each.target
    )
