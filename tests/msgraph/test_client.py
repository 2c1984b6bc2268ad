"""The client of Microsoft Graph against the local Graph."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.msgraph.client import OWN, Graph, current
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import replies
from tests.kernel.conftest import Bench


def test_a_list_is_complete(graph: Graph) -> None:
    ids = [row["id"] for row in graph.list("users", select=["id"], top=3)]
    assert len(ids) == len(set(ids)) == 250


def test_another_host_is_refused_before_dialing(graph: Graph, faulty_graph: FaultyGraph) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        graph.get(f"{faulty_graph.elsewhere.root}/v1.0/me")
    assert faulty_graph.requests == []
    assert faulty_graph.elsewhere.requests == []


def test_a_refusal_says_what_graph_says(graph: Graph) -> None:
    with pytest.raises(GraphError) as caught:
        graph.get("nothing/here")
    assert caught.value.status in (400, 404)
    assert caught.value.correlation_id


def test_looking_at_an_unconfigured_graph_raises_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(*_: object, **__: object) -> None:
        raise ConfigurationError("No client_id.")

    monkeypatch.setattr(bench.session, "bind", bind)
    graph = current(bench.session)
    for name in ("_repr_html_", "_ipython_display_", "nothing", "__wrapped__"):
        assert not hasattr(graph, name)
    assert "not configured" in repr(graph)
    assert graph.__doc__ == Graph.__doc__
    with pytest.raises(ConfigurationError):
        graph.get("me")
    with pytest.raises(ConfigurationError):
        _ = graph.session


def test_the_attributes_that_make_a_graph_are_known(graph: Graph) -> None:
    assert {*vars(graph)} - {"_here"} == OWN


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_page_of_a_proxy_is_no_result(
    graph: Graph, faulty_graph: FaultyGraph, method: str
) -> None:
    faulty_graph.fail(method.upper(), "/v1.0/me", each=True, answer=replies.proxy_page(200))
    with pytest.raises(GraphError) as caught:
        getattr(graph, method)("me")
    assert caught.value.code == "not_json"
