"""The plain table: a list that is displayed within limits."""

from __future__ import annotations

import pickle
import re
from typing import Any

from IPython.lib.pretty import pretty

from nbauth.msgraph.frames.frame import frame
from nbauth.msgraph.frames.table import Table


def _html(rows: Any, **options: Any) -> str:
    return frame(rows, to="table", **options)._repr_html_()


def test_it_is_the_list_of_rows() -> None:
    rows = [{"id": 1, "from": {"a": 2}, "@odata.etag": "e"}, "text"]
    table = frame(rows, to="table", attrs={"@odata.count": 2})
    assert table == rows
    assert table.attrs == {"@odata.count": 2}
    assert pickle.loads(pickle.dumps(table)).attrs == table.attrs


def test_columns_are_those_of_a_frame() -> None:
    html = _html([{"id": 1, "from": {"a": True}, "x": None}], select="from")
    assert re.findall("<th>(.*?)</th>", html) == ["from.a", "id", "x"]
    assert re.findall("<td[^>]*>(.*?)</td>", html) == ["True", "1", ""]
    assert html.endswith("<p>1 row</p>")
    assert "<th>id</th>" in _html([], select="id")
    assert _html([]) == "<p>0 rows</p>"


def test_html_is_escaped() -> None:
    html = _html([{"<b>": "<script>alert(1)</script>", "list": ["<i>"]}])
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;" in html


def test_at_most_20_rows_and_12_columns_are_shown() -> None:
    table = frame([{f"c{n}": n for n in range(40)}] * 10_000, to="table")
    html = table._repr_html_()
    assert html.count("<tr>") == 21
    assert html.count("<th>") == 12
    assert "<p>20 of 10,000 rows, 12 of 40 columns</p>" in html
    lines = pretty(table).splitlines()
    assert len(lines) == 22
    assert lines[0].split() == [f"c{n}" for n in range(12)]
    assert lines[-1] == "20 of 10,000 rows, 12 of 40 columns"


def test_cells_and_names_are_cut() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    rows = [{"n" * 500: "x" * 10**6, "list": list(range(10**5)), "deep": deep}]
    text = pretty(Table(rows))
    assert "…" in text
    assert max(map(len, text.splitlines())) < 3 * 45
    assert len(Table(rows)._repr_html_()) < 1000


def test_a_terminal_gets_no_control_characters() -> None:
    text = pretty(Table([{"a\x1b[2J": "b\x1b[31m\n\u202e"}]))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 3


def test_a_table_of_texts() -> None:
    assert pretty(Table(["a", "b"])).splitlines() == ["value", "a", "b", "2 rows"]
