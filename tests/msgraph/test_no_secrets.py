"""No token in what objects show, in the log, or in an error."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from nbauth.core.errors import GraphError, NbAuthError
from nbauth.msgraph.client import Graph
from nbauth.msgraph.transport import Transport
from nbauth.testing.canary import find
from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import replies
from tests.harness.graph.replies import Reply, refusal
from tests.kernel.conftest import Bench
from tests.msgraph.permitting import DENIED, Permitting


def secrets_of(bench: Bench) -> list[str]:
    held = [token.response for token in bench.session.cache.tokens.values()]
    texts = [str(one) for each in held for one in (each.access_token, each.refresh_token) if one]
    assert texts
    return texts


def check(bench: Bench, *shown: object) -> None:
    text = "\n".join(map(str, shown)).encode()
    assert text
    assert not [secret for secret in secrets_of(bench) if find(secret, text)]


def reached(start: object, depth: int = 5) -> list[object]:
    """What a person can look at from an object, by its attributes."""
    found, level = [start], [start]
    for _ in range(depth):
        level = [
            value
            for one in level
            if type(one).__module__.startswith("nbauth")
            for value in [*getattr(one, "__dict__", {}).values(), *_slots(one)]
            if not any(value is other for other in found)
        ]
        found += level
    return found


def _slots(one: object) -> list[object]:
    names = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    return [getattr(one, name) for name in names if hasattr(one, name)]


CALLS: dict[str, Callable[[Graph], Any]] = {
    "get": lambda graph: graph.get("me"),
    "list": lambda graph: list(graph.list("users", top=100)),
    "df": lambda graph: graph.df("users", top=100, to="table"),
    "get_many": lambda graph: graph.get_many(["me", "users/1"]),
    "aio": lambda graph: asyncio.run(graph.aio.get("me")),
    "post": lambda graph: graph.post("me/sendMail", {}),
}
ANSWERS: dict[str, Reply | None] = {
    "success": None,
    "403": DENIED,
    "404": refusal(404, "x", "No."),
    "HTML": replies.proxy_page(200),
    "cut": Reply(200, {"value": []}, cut=5),
    "not JSON": Reply(200, b"{", content_type="application/json"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_objects_errors_and_the_log(
    bench: Bench,
    faulty_graph: FaultyGraph,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    answer: Reply | None,
) -> None:
    monkeypatch.setattr("nbauth.msgraph.transport.pause", lambda _: None)
    monkeypatch.setattr("nbauth.msgraph.throttle.pause", lambda _: None)
    monkeypatch.setattr("nbauth.msgraph.batch.outcomes.AGAIN_AFTER", 0.0)
    graph = Permitting(bench, faulty_graph, certificates).graph
    if answer is not None:
        faulty_graph.fail("*", "/v1.0/*", answer=answer)
    rows = graph.list("users", top=100)
    with caplog.at_level(logging.DEBUG):
        for call in CALLS.values():
            try:
                shown = call(graph)
            except NbAuthError as error:
                whole = traceback.TracebackException.from_exception(error, capture_locals=True)
                check(bench, error, repr(error), vars(error), *error.lines(), *whole.format())
                check(bench, *(error._render_traceback_() or []))
            else:
                check(bench, shown, repr(shown))
        with suppress(GraphError):
            next(rows)
    assert caplog.text
    check(bench, caplog.text)
    for one in (graph, graph.aio, rows, graph.partial):
        things = reached(one)
        assert one not in (graph, graph.aio) or any(type(each) is Transport for each in things)
        check(bench, *map(repr, things), *(repr(getattr(one, "__dict__", "")) for one in things))
    with pytest.raises(AssertionError):
        check(bench, f"x {bench.read('User.Read')}")


def test_a_pre_authorised_address_is_in_no_display(graph: Graph, faulty_graph: FaultyGraph) -> None:
    """Graph has it in every item of a drive; whoever has it can read the file."""
    path = "me/drive/root:/report.csv"
    graph.upload(path, b"a,b")
    one = graph.get(path)
    address = one["@microsoft.graph.downloadUrl"]
    assert str(address).startswith(faulty_graph.storage.root)
    rows = Reply(200, {"value": [{**one, "inner": one}]})
    faulty_graph.fail("GET", "/v1.0/me/drive/root/children", answer=rows)
    children = "me/drive/root/children"
    shown = [
        repr(one),
        repr(list(graph.list(children))),
        repr(graph.get_many([path])[0].body),
        *(graph.df(children, to=to) for to in ("pandas", "polars", "table")),
        graph.df(children).to_csv(),
        graph.df(children, to="table")._repr_html_(),
    ]
    secret = str(address).rpartition("/")[2]
    assert len(secret) > 8
    assert not [text for text in shown if secret in str(text)]
    session = graph.post("me/drive/root:/new.csv:/createUploadSession", {})
    assert str(session["uploadUrl"]) not in repr(session)
