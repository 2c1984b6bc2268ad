"""``%graph`` in a shell, over the local Graph; typed lines are in ``typed_lines.txt``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import pandas
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import nbauth
from nbauth import process_session
from nbauth.core.errors import GraphError, InteractionRequired
from nbauth.core.interrupted import GraphInterrupted
from nbauth.core.settings_values import CLOUDS
from nbauth.msgraph.client import Graph
from nbauth.msgraph.collected import Collected
from nbauth.msgraph.content import Content
from nbauth.msgraph.magic.graph_magic import GraphMagics
from nbauth.testing.screen import RecordingScreen
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.listener import Recorded
from tests.jupyter.typed import NO_HISTORY
from tests.kernel.conftest import Bench


def query_of(request: Recorded) -> dict[str, str]:
    """The query of a request, decoded."""
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


class Cells:
    """A shell with the extension, which runs cells."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.names: dict[str, Any] = shell.user_ns
        self.printed = ""

    def run(self, cell: str) -> Any:
        """The value of a cell."""
        with capture_output() as seen:
            result = self.shell.run_cell(cell)
        self.printed = seen.stdout
        assert result.success, seen.stdout
        return result.result

    def error(self, cell: str) -> BaseException:
        """The error of a cell, which is shown without a traceback."""
        with capture_output() as seen:
            result = self.shell.run_cell(cell)
        self.printed = seen.stdout + seen.stderr
        assert "Traceback" not in self.printed
        assert len(self.printed.strip().splitlines()) <= 2, self.printed
        assert result.error_in_exec is not None
        return result.error_in_exec


@pytest.fixture
def cells(graph: Graph, bench: Bench, faulty_graph: FaultyGraph) -> Iterator[Cells]:
    hosts = {graph.root.place: ["read"]}
    bench.session.configure(graph_url=faulty_graph.root, hosts=hosts, refresh_ahead=False)
    shell = InteractiveShell.instance(config=NO_HISTORY)
    names = set(shell.user_ns)
    with mock.patch.object(process_session, "_session", bench.session):
        shell.run_line_magic("load_ext", "nbauth")
        yield Cells(shell)
        shell.run_line_magic("unload_ext", "nbauth")
    for name in {name for name in shell.user_ns if name[:1] != "_"} - names:
        del shell.user_ns[name]
    bench.session.rest()


def test_the_first_page_is_a_data_frame_and_a_line_says_that_there_are_more(
    cells: Cells, faulty_graph: FaultyGraph
) -> None:
    found = cells.run("%graph users --select id,mail --top 10")
    assert isinstance(found, pandas.DataFrame)
    assert list(found.columns[:2]) == ["id", "mail"]
    assert list(found["id"]) == list(faulty_graph.users.rows)[:10]
    assert "@odata.nextLink" in found.attrs
    assert cells.printed.startswith(
        "The first page: 10 rows. For more, add --all or --limit ROWS.\n"
    )
    assert len(faulty_graph.graph.requests) == 1


def test_the_line_says_how_many_there_are_if_they_are_counted(cells: Cells) -> None:
    cells.run("%graph users --count --top 10")
    assert "The first page: 10 of 250 rows." in cells.printed


def test_quiet_prints_nothing(cells: Cells) -> None:
    cells.run("found = %graph users --top 10 --quiet")
    assert cells.printed == ""


def test_all_rows_of_all_pages(cells: Cells, faulty_graph: FaultyGraph) -> None:
    found = cells.run("%graph users --all --top 60")
    assert list(found["id"]) == list(faulty_graph.users.rows)
    assert cells.printed.count("first page") == 0
    limited = cells.run("%graph users --limit 130 --top 60 --json")
    assert type(limited) is list
    assert [row["id"] for row in limited] == list(faulty_graph.users.rows)[:130]


def test_a_list_without_rows_says_so(cells: Cells) -> None:
    line = "%graph users?$filter=surname eq 'Nobody' --all"
    assert len(cells.run(line)) == 0 and cells.printed.splitlines()[0] == "No rows."
    for quiet in ("--quiet", "--json", "-o not_shown"):
        cells.run(f"{line} {quiet}")
        assert "No rows." not in cells.printed


def test_one_object_is_a_dict_and_with_df_one_row(cells: Cells) -> None:
    me = cells.run("%graph me")
    assert isinstance(me, dict)
    row = cells.run("%graph me --df --select mail,id")
    assert (len(row), row["id"][0]) == (1, me["id"])
    assert list(row.columns[:2]) == ["mail", "id"]


def test_the_result_goes_into_a_variable_only(cells: Cells) -> None:
    assert cells.run("%graph users --top 3 --quiet -o df") is None
    assert cells.printed == ""
    assert len(cells.names["df"]) == 3
    cells.error("%graph users/nobody -o other")
    assert "other" not in cells.names


def test_a_failed_list_keeps_what_was_read_before(cells: Cells, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/users", on=2, answer=changes.self_link)
    error = cells.error("%graph users --all --top 60 -o df")
    assert isinstance(error, GraphError)
    partial = nbauth.graph.partial
    assert partial is not None
    assert len(partial.rows) == 60
    assert "df" not in cells.names


@pytest.mark.parametrize("options", ["", "--beta"])
def test_an_interrupt_keeps_what_was_read_and_the_line_says_where(
    cells: Cells, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    read = Collected.read

    def interrupted(self: Collected) -> Any:
        self._source._place = self._source._place._replace(limit=60)
        read(self)
        raise GraphInterrupted(self.rows, "https://next.example")

    monkeypatch.setattr(Collected, "read", interrupted)
    error = cells.error(f"%graph users --all --top 60 {options}")
    assert isinstance(error, GraphInterrupted)
    assert "60 rows were read" in cells.printed
    assert "nbauth.graph.partial.rows" in cells.printed
    partial = nbauth.graph.partial
    assert partial is not None
    assert len(partial.rows) == 60


def test_a_refusal_is_two_lines(cells: Cells, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.refusal(403, "Forbidden", "No."))
    error = cells.error("%graph me")
    assert isinstance(error, GraphError)
    assert error.status == 403


def test_changes_are_sent_once_without_a_question(cells: Cells, faulty_graph: FaultyGraph) -> None:
    cells.names["title"] = 'Head of "R&D"'
    cells.run('%graph PATCH me {"jobTitle": "$title"}')
    assert cells.run("%graph me --select jobTitle")["jobTitle"] == cells.names["title"]
    cells.run('%%graph PATCH me\n{"jobTitle":\n  {title[:4]}\n}')
    assert cells.run("%graph me --select jobTitle")["jobTitle"] == "Head"
    methods = [request.method for request in faulty_graph.graph.requests]
    assert methods == ["PATCH", "GET", "PATCH", "GET"]


def test_lines_are_a_batch(cells: Cells, faulty_graph: FaultyGraph) -> None:
    first, second, *_ = faulty_graph.users.rows
    cells.names["ids"] = [first, second]
    found = cells.run("%%graph\n# two users\nusers/{ids[0]}\nGET users/{ids[1]}\n\nusers/nobody")
    assert [one.ok for one in found] == [True, True, False]
    assert [one.body["id"] for one in found[:2]] == [first, second]
    assert [request.raw_path for request in faulty_graph.graph.requests] == ["/v1.0/$batch"]


def test_a_line_with_a_mistake_stops_the_whole_batch(
    cells: Cells, faulty_graph: FaultyGraph
) -> None:
    error = cells.error("%%graph\nDELETE users/1\nusers/{never_set}")
    assert str(error).startswith("Line 3: {never_set}: there is no variable never_set.")
    assert faulty_graph.graph.requests == []


@pytest.mark.parametrize(
    "name",
    ["O'Brien", "' or 1 eq 1 or a eq '", "a&$top=1", "100%", "%27", "a+b", "x\\'y", "日本", "#?"],
)
def test_a_value_between_quotes_stays_one_value(
    cells: Cells, faulty_graph: FaultyGraph, name: str
) -> None:
    cells.names["name"] = name
    sent = []
    expected = f"displayName eq '{name.replace(chr(39), chr(39) * 2)}'"
    for line in (
        "users?$filter=displayName eq '$name'",
        "users?$filter=displayName eq '{name}'",
        "users --filter displayName eq '{name}'",
        "users --filter \"displayName eq '$name'\"",
        "{nbauth.graph.root.address}/v1.0/users?$filter=displayName eq '{name}'",
    ):
        faulty_graph.graph.requests.clear()
        cells.names["nbauth"] = nbauth
        cells.shell.run_cell(f"found = %graph {line} --quiet")
        sent += [query_of(request) for request in faulty_graph.graph.requests]
    assert sent == [{"$filter": expected}] * 5


@pytest.mark.parametrize("value", ["a/b", "me?$select=id", "a#b", "%2e%2e", "x y", "o'b"])
def test_a_value_in_the_path_stays_one_segment(
    cells: Cells, faulty_graph: FaultyGraph, value: str
) -> None:
    cells.names["value"] = value
    cells.error("%graph users/{value}/nothing")
    (request,) = faulty_graph.graph.requests
    assert query_of(request) == {}
    assert request.raw_path.count("/") == 4


@pytest.mark.parametrize("value", ["", ".", "..", " "])
def test_a_value_in_the_path_is_not_empty_or_dots(cells: Cells, value: str) -> None:
    cells.names["value"] = value
    assert "cannot be a segment" in str(cells.error("%graph users/{value}/messages"))


def test_a_column_of_pandas_is_a_list_of_values(cells: Cells, faulty_graph: FaultyGraph) -> None:
    cells.run("%graph users --top 2 --quiet -o df")
    cells.shell.run_cell("found = %graph users?$filter=id in {df.id} --quiet")
    first, second, *_ = faulty_graph.users.rows
    assert query_of(faulty_graph.graph.requests[-1]) == {"$filter": f"id in ('{first}','{second}')"}


def test_a_picture_is_shown_and_other_bytes_are_short(
    cells: Cells, faulty_graph: FaultyGraph
) -> None:
    photo = cells.run("%graph me/photo/$value")
    assert isinstance(photo, bytes)
    assert len(cells.printed) < 100
    data, _ = cells.shell.display_formatter.format(Content(b"\xff\xd8\xff\xe0"))
    assert data["image/jpeg"] == "/9j/4A=="
    assert list(cells.shell.display_formatter.format(Content(b"{"))[0]) == ["text/plain"]


def test_where_nobody_can_answer_no_panel_opens(
    bench: Bench, cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.session.logout(all=True)
    shown = list(bench.screen.shown)
    monkeypatch.setattr(RecordingScreen, "attended", lambda self: False)
    error = cells.error("%graph me")
    assert isinstance(error, InteractionRequired)
    assert bench.screen.shown == shown


def test_unloading_removes_the_magic(cells: Cells) -> None:
    manager = cells.shell.magics_manager
    cells.shell.run_line_magic("unload_ext", "nbauth")
    assert "graph" not in {**manager.magics["line"], **manager.magics["cell"]}
    assert "GraphMagics" not in manager.registry
    assert not any(isinstance(each, GraphMagics) for each in cells.shell.configurables)
    cells.shell.run_line_magic("load_ext", "nbauth")


def test_the_clouds_are_those_of_the_setting() -> None:
    cloud = GraphMagics.graph.parser._option_string_actions["--cloud"]
    assert tuple(cloud.choices) == CLOUDS


def test_loading_imports_only_the_definition() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S;"
        "S.instance().run_line_magic('load_ext', 'nbauth');"
        "print(sorted(name for name in sys.modules if name.startswith('nbauth.msgraph')),"
        " 'requests' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ["nbauth.msgraph", "nbauth.msgraph.magic", "nbauth.msgraph.magic.graph_magic"]
    assert done.stdout.strip() == f"{loaded} False"
