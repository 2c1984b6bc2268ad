"""Wrong arguments are errors before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.msgraph.client import Graph
from tests.harness.faulty_graph import FaultyGraph

LOOP: list[Any] = []
LOOP.append(LOOP)
Call = Callable[[Any], Any]


def after_me(**request: Any) -> Call:
    return lambda graph: graph.batch(["me", {"path": "me", **request}])


WRONG: dict[str, Call] = {
    "depends on another version": lambda graph: graph.batch(
        ["me", {"path": "beta/me", "depends_on": 0}]
    ),
    "depends on True": lambda graph: graph.batch(["me", "me", {"path": "me", "depends_on": True}]),
    "depends on a float": after_me(depends_on=0.0),
    "depends on a list in a list": after_me(depends_on=[[0]]),
    "depends on a text": after_me(depends_on="0"),
    "method None": after_me(method=None),
    "method 5": after_me(method=5),
    "headers of a request": after_me(headers="x"),
    "headers as pairs": after_me(headers=[("a", "b")]),
    "headers": lambda graph: graph.get_many(["me"], headers="x"),
    "headers of one": lambda graph: graph.get("me", headers=["x"]),
    "no list": lambda graph: graph.get_many(5),
    "None": lambda graph: graph.batch(None),
    "width as a text": lambda graph: graph.get_many(["me"], width="4"),
    "width 2.5": lambda graph: graph.get_many(["me"], width=2.5),
    "limit -1": lambda graph: graph.get_many(["users"], limit=-1),
    "limit as a text": lambda graph: graph.get_many(["users"], limit="9"),
    "limit of a list": lambda graph: list(graph.list("users", limit=-1)),
    "limit of a frame": lambda graph: graph.df("users", limit=2.5, to="table"),
    "no path": lambda graph: graph.get(None),
    "path 5": lambda graph: graph.get_many(["me", 5]),
    "path as bytes": lambda graph: graph.get(b"me"),
    "surrogate": lambda graph: graph.get("users/\ud800"),
    "surrogate in a segment": lambda graph: graph.get_many([["users", "\ud800"]]),
    "set": lambda graph: graph.post("me/sendMail", {"to": {1, 2}}),
    "NaN": lambda graph: graph.patch("me", {"x": float("nan")}),
    "a loop": after_me(method="POST", json=LOOP),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_nothing_is_sent(graph: Graph, faulty_graph: FaultyGraph, call: Call) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call(graph)
    assert caught.value.code == "bad_option"
    assert faulty_graph.requests == []


def test_no_dependency_is_none(graph: Graph) -> None:
    assert all(item.ok for item in graph.batch(["me", {"path": "me", "depends_on": None}]))
