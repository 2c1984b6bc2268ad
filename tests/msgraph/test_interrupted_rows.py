"""An interrupt at any line loses no page, and reads none twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import nbauth
from nbauth.core.errors import ConfigurationError
from nbauth.core.interrupted import GraphInterrupted
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.client import Graph
from nbauth.msgraph.collected import Collected
from nbauth.msgraph.later import Later, pause
from nbauth.msgraph.pages import Rows
from nbauth.msgraph.transport import Reply, Request
from tests.harness.faulty_graph import FaultyGraph
from tests.kernel.conftest import until
from tests.kernel.lines import interrupted

ROOM = str(Path(nbauth.__file__).parent / "msgraph")
ROOT = Root("https://graph.example")
ALL = list(range(4))
SIZE = 2


def fetch(url: str) -> Reply:
    at = int(url.partition("?at=")[2] or 0)
    page: dict[str, Any] = {"value": ALL[at : at + SIZE]}
    if at + SIZE < len(ALL):
        page["@odata.nextLink"] = f"{ROOT.url('users')}?at={at + SIZE}"
    return Reply(Request("GET", url, "users"), 200, {}, json.dumps(page).encode())


def read(link: str | None, limit: int | None = None) -> Rows:
    return Rows(fetch, ROOT, link or ROOT.url("users"), limit)


@pytest.mark.parametrize("limit", [None, 3])
def test_what_is_kept_and_what_the_link_leads_to_are_all_rows(limit: int | None) -> None:
    now: dict[str, Any] = {}

    def collect() -> None:
        now["collected"] = None
        source = read(None, limit)
        now["collected"] = Collected(source, limit, progress=False)
        now["collected"].read()

    lines = set()
    for line in interrupted(collect, ROOM):
        lines.add(line)
        if now["collected"] is not None:
            rows, link = now["collected"].partial
            rest = [] if link is None else list(read(link, limit and limit - len(rows)))
            assert rows + rest == ALL[:limit], line
    assert len(lines) > 40


@pytest.mark.parametrize("limit", [None, 3])
def test_the_same_object_goes_on_after_an_interrupt(limit: int | None) -> None:
    now: dict[str, Any] = {}

    def iterate() -> None:
        now["rows"], now["found"] = None, []
        now["rows"] = read(None, limit)
        for row in now["rows"]:
            now["found"].append(row)

    for line in interrupted(iterate, ROOM):
        if now["rows"] is not None and line not in _HANDS_OVER:
            assert now["found"] + list(now["rows"]) == ALL[:limit], line


def test_pages_go_on_after_an_interrupt() -> None:
    now: dict[str, Any] = {}

    def iterate() -> None:
        now["rows"], now["found"] = None, []
        now["rows"] = read(None)
        for page in now["rows"].pages():
            now["found"] += page

    for line in interrupted(iterate, ROOM):
        if now["rows"] is not None and line not in _HANDS_OVER:
            assert now["found"] + list(now["rows"]) == ALL, line


def _handing_over() -> Iterator[str]:
    """The lines at which Python checks for no interrupt: they only give a row or page away."""
    source = Path(ROOM, "pages.py").read_text("utf-8").splitlines()
    for number, line in enumerate(source, 1):
        if line.strip() in ("return row", "yield rest"):
            yield f"pages.py:{number}"


_HANDS_OVER = set(_handing_over())


def test_each_row_goes_to_one_of_several_threads() -> None:
    together = threading.Barrier(4)

    def slow(url: str) -> Reply:
        if "at=" not in url:  # all threads request the first page
            together.wait(10)
        return fetch(url)

    rows = Rows(slow, ROOT, ROOT.url("users"), None)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.extend(rows)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == ALL


@pytest.mark.parametrize("end", ["dropped", "closed", "interrupted"])
def test_the_wait_of_the_thread_ahead_ends_with_the_rows(end: str) -> None:
    waits = threading.Event()

    def throttled(url: str) -> Reply:
        if "at=" in url:
            waits.set()
            pause(60)
        return fetch(url)

    rows = Rows(throttled, ROOT, ROOT.url("users"), None)
    assert next(rows) == 0 and waits.wait(10)
    if end == "closed":
        rows.close()
    elif end == "interrupted":
        collected = Collected(rows, None, progress=False)
        stop = patch.object(Rows, "pages", side_effect=KeyboardInterrupt)
        with stop, pytest.raises(GraphInterrupted), collected:
            collected.read()
    if end == "dropped":
        del rows
    until(lambda: "nbauth-graph" not in {each.name for each in threading.enumerate()})


def test_without_more_threads_the_list_is_complete() -> None:
    with patch.object(Later, "__init__", side_effect=RuntimeError("can't start new thread")):
        assert list(read(None)) == ALL


def test_an_interrupt_while_the_frame_is_made_keeps_the_rows(graph: Graph) -> None:
    stop = patch("nbauth.msgraph.frames.frame.columns_of", side_effect=KeyboardInterrupt)
    with stop, pytest.raises(GraphInterrupted) as caught:
        graph.df("users", to="pandas")
    assert "250 rows were read" in caught.value._render_traceback_()[0]
    assert "reads on" not in caught.value._render_traceback_()[0]
    assert graph.partial is not None
    assert len(graph.partial.rows) == 250 and graph.partial.next_link is None


@pytest.mark.parametrize("to", ["polars", "pandas", "excel"])
def test_a_frame_that_cannot_be_made_is_refused_before_rows_are_read(
    graph: Graph, faulty_graph: FaultyGraph, to: Any
) -> None:
    absent = patch.dict("sys.modules", {"polars": None, "pandas": None})
    with absent, pytest.raises(ConfigurationError):
        graph.df("users", to=to)
    assert faulty_graph.requests == []
