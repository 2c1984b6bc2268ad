"""Rows become pandas frames: names, order, types, annotations; json_normalize is the witness."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbauth.core.errors import ConfigurationError
from nbauth.msgraph.frames.frame import frame
from nbauth.msgraph.frames.table import Table

MAIL = [
    {
        "@odata.etag": f'W/"{number}"',
        "id": str(number),
        "subject": "Grüße 🎈",
        "from": {"emailAddress": {"name": "Ada", "address": "ada@example.com"}},
        "toRecipients": [{"emailAddress": {"address": "bob@example.com"}}],
        "receivedDateTime": "2026-01-02T03:04:05Z",
    }
    for number in range(3)
]


def test_names_are_dotted_at_the_place_of_their_object() -> None:
    df = frame(MAIL, select=["subject", "from", "receivedDateTime"], attrs={"@odata.count": 3})
    assert list(df.columns) == [
        "subject", "from.emailAddress.name", "from.emailAddress.address", "receivedDateTime",
        "id", "toRecipients",
    ]  # fmt: skip
    assert df["toRecipients"][0] == MAIL[0]["toRecipients"]
    assert df["subject"].tolist() == ["Grüße 🎈"] * 3
    assert df.attrs["@odata.count"] == 3
    assert df.attrs["rows"] == {"@odata.etag": ('W/"0"', 'W/"1"', 'W/"2"')}


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("b, a", ["b", "a", "c.d", "c.e.f"]),
        (["c", "a"], ["c.d", "c.e.f", "a", "b"]),
        (["c/e/f", "c/d"], ["c.e.f", "c.d", "a", "b"]),
        (["C/E"], ["c.e.f", "a", "b", "c.d"]),
        (["B", "B", "b"], ["b", "a", "c.d", "c.e.f"]),
        (["z", "a", "Z"], ["z", "a", "b", "c.d", "c.e.f"]),
        (["*"], ["a", "b", "c.d", "c.e.f"]),
        (["microsoft.graph.user/b"], ["b", "a", "c.d", "c.e.f"]),
        (["@odata.type", ""], ["a", "b", "c.d", "c.e.f"]),
        (None, ["a", "b", "c.d", "c.e.f"]),
    ],
)
def test_select_orders_columns(select: Any, expected: list[str]) -> None:
    rows = [{"a": 1, "b": 2, "c": {"d": 3}}, {"a": 1, "c": {"e": {"f": 4}}}]
    assert list(frame(rows, select=select).columns) == expected


def test_no_rows_keep_the_selected_columns() -> None:
    df = frame([], select="id,from", attrs={"@odata.count": 0})
    assert list(df.columns) == ["id", "from"]
    assert len(df) == 0
    assert df.attrs == {"@odata.count": 0}
    assert frame([]).empty
    assert len(frame([{}, {}])) == 2


@pytest.mark.parametrize(
    ("values", "dtype", "kept"),
    [
        ([1, None, 2**53 + 1], "Int64", [1, pandas.NA, 2**53 + 1]),
        ([1, 2**62 + 1], "int64", [1, 2**62 + 1]),
        ([2**64, None], "object", [2**64, None]),
        ([2**53 + 1, 0.5], "object", [2**53 + 1, 0.5]),
        ([True, None], "boolean", [True, pandas.NA]),
        ([True, False], "bool", [True, False]),
        ([None, None], "object", [None, None]),
        ([1, "a", None], "object", [1, "a", None]),
        ([1, 0.5], "float64", [1.0, 0.5]),
        ([[1], []], "object", [[1], []]),
        (["\ud800", "a"], "object", ["\ud800", "a"]),
    ],
)
def test_values_are_kept(values: list[Any], dtype: str, kept: list[Any]) -> None:
    column = frame([{"a": value} for value in values])["a"]
    assert str(column.dtype) == dtype
    for value, expected in zip(column.tolist(), kept, strict=True):
        assert value is expected or value == expected


def test_a_mask_of_booleans_with_missing_values_selects() -> None:
    df = frame([{"on": True, "id": 1}, {"on": None, "id": 2}, {"id": 3}])
    assert df[df["on"]]["id"].tolist() == [1]


@pytest.mark.parametrize(
    ("values", "unit", "first"),
    [
        (["2026-01-02T03:04:05Z"], "us", "2026-01-02 03:04:05+00:00"),
        (["2026-01-02T03:04:05.1234567Z", None], "ns", "2026-01-02 03:04:05.123456700+00:00"),
        (["2026-01-02T03:04:05.1234560Z"], "us", "2026-01-02 03:04:05.123456+00:00"),
        (["2026-01-02T03:04:05.1+02:00", "2026-01-02T03:04:05Z"], "us",
         "2026-01-02 01:04:05.100000+00:00"),
        (["0001-01-01T00:00:00Z", "2026-01-02T03:04:05Z"], "us", "0001-01-01 00:00:00+00:00"),
        (["9999-12-31T23:59:59.9999999Z", None], "us", "9999-12-31 23:59:59.999999+00:00"),
    ],
)  # fmt: skip
def test_times_are_utc(values: list[str | None], unit: str, first: str) -> None:
    column = frame([{"at": value} for value in values])["at"]
    assert str(column.dtype) == f"datetime64[{unit}, UTC]"
    assert str(column[0]) == first
    assert column.isna().tolist() == [value is None for value in values]


@pytest.mark.parametrize(
    "values",
    [
        ["2026-01-02"],
        ["2026-01-02T03:04:05.0000000"],
        ["2026-01-02T03:04Z"],
        ["2026-01-02T03:04:05Z", "soon"],
        ["2026-01-02T03:04:05Z", ""],
        ["2026-01-02T03:04:05Z", 5],
        ["2026-01-02T03:04:05.12345678Z"],
        ["2026-01-02T03:04:05Z\n2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"],
        ["2026-01-02T03:04:05Z\n"],
        ["2026-02-30T03:04:05Z"],
        ["2026-01-02T24:00:00Z"],
        ["2026-01-02T23:59:60Z"],
        ["0001-01-01T00:00:00+02:00"],
        ["٢٠٢٦-01-02T03:04:05Z"],
        ["2026-01-02T03:04:05Z", ["2026-01-02T03:04:05Z"]],
    ],
)
def test_what_is_not_a_time_in_each_row_stays_text(values: list[Any]) -> None:
    assert frame([{"at": value} for value in values])["at"].tolist() == values


def test_annotations_are_kept_by_row() -> None:
    rows: list[dict[str, Any]] = [
        {"id": 1, "members@odata.context": "c", "manager": {"@odata.id": "x", "id": 9}},
        {"id": 2, "@odata.etag": "e", "@removed": {"reason": "deleted"}, "manager": None},
    ]
    df = frame(rows)
    assert list(df.columns) == ["id", "manager.id", "@removed.reason"]
    assert df.attrs["rows"] == {
        "members@odata.context": ("c", None),
        "manager.@odata.id": ("x", None),
        "@odata.etag": (None, "e"),
    }
    last = df[df["id"] == 2]
    assert last.attrs["rows"]["@odata.etag"][last.index[0]] == "e"
    assert copy.deepcopy(df.attrs["rows"]["@odata.etag"]) is df.attrs["rows"]["@odata.etag"]
    assert json.loads(json.dumps(df.attrs))["rows"]["@odata.etag"] == [None, "e"]


@pytest.mark.parametrize("where", ["@odata.type", "owner.@odata.type"])
@pytest.mark.parametrize("types", [("#user", "#group"), ("#user", None)])
def test_types_that_differ_are_a_column(where: str, types: tuple[str | None, ...]) -> None:
    plain = [{"@odata.type": each, "id": 1} if each else {"id": 1} for each in types]
    rows = plain if where == "@odata.type" else [{"owner": each} for each in plain]
    df = frame(rows)
    assert df.columns[-1] == where
    assert [None if each != each else each for each in df[where].tolist()] == list(types)
    assert df.attrs["rows"][where] == types
    assert where not in frame([rows[0], rows[0]]).columns


def test_columns_of_one_name_are_both_kept() -> None:
    df = frame([{"a.b": 1, "a": {"b": 2}, "a.b (2)": 3}])
    assert df.to_dict("records") == [{"a.b": 1, "a.b (2)": 2, "a.b (2) (2)": 3}]


def test_rows_that_are_no_objects() -> None:
    assert frame(["x", "y"])["value"].tolist() == ["x", "y"]
    mixed = frame([{"id": 1}, "y", MappingProxyType({"id": 2})])
    assert mixed["value"][1] == "y"
    assert mixed["id"].tolist() == [1, pandas.NA, 2]


def test_values_beside_objects_and_empty_objects() -> None:
    assert frame([{"a": {"b": 1}}, {"a": "text"}, {"a": None}])["a"][1] == "text"
    assert frame([{"a": {}}, {}]).columns.tolist() == ["a"]
    assert frame([{"a": {"@odata.type": "t"}}]).columns.tolist() == ["a"]
    assert frame([{"a": {"b": 1}}, {"a": None}]).columns.tolist() == ["a.b"]


def test_deeply_nested_objects() -> None:
    row: dict[str, Any] = {"a": 1}
    for _ in range(sys.getrecursionlimit() * 2):
        row = {"a": row}
    assert frame([row]).iloc[0, 0] == 1


def test_rows_are_not_changed() -> None:
    before = copy.deepcopy(MAIL)
    frame(MAIL, select="id")
    assert before == MAIL


_NAMES = st.sampled_from(["id", "name", "größe", "n1", "Ω", "a b"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
    | st.floats(allow_nan=False)
    | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(_NAMES, inner, min_size=1, max_size=3),
    max_leaves=4,
)  # fmt: skip
_ROWS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=4), max_size=6)


def _cells(df: Any, row: int = 0) -> dict[tuple[int, str], Any]:
    return {
        (row + number, name): value
        for name in df.columns
        for number, value in enumerate(df[name].astype(object).tolist())
        if isinstance(value, list) or not pandas.isna(value)
    }


@settings(max_examples=60, deadline=None)
@given(_ROWS)
def test_it_has_the_values_of_json_normalize(rows: list[Mapping[str, Any]]) -> None:
    expected: dict[tuple[int, str], Any] = {}
    for number, row in enumerate(rows):  # one by one: a whole column of it may become floats
        expected |= _cells(pandas.json_normalize(row), number)
    df = frame(rows)
    assert len(df) == len(rows)
    assert _cells(df) == expected


@pytest.mark.parametrize("to", ["Pandas", "json", ""])
def test_an_unknown_library_is_refused(to: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not known"):
        frame([], to=to)


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert type(frame(MAIL)) is Table
    with pytest.raises(ConfigurationError) as refused:
        frame(MAIL, to="pandas")
    assert 'pip install "nbauth[graph]"' in refused.value.hint


def _plain(count: int) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "mail": f"{n}@x", "jobTitle": None, "on": n % 2 == 0, "size": n}
        | {f"text{column}": f"{column} of {n}" for column in range(6)}
        for n in range(count)
    ]


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@pytest.mark.timing
def test_plain_rows_take_little_more_than_in_pandas_itself() -> None:
    rows = _plain(10_000)
    pairs = [
        (_seconds(lambda: frame(rows)), _seconds(lambda: pandas.DataFrame(rows))) for _ in range(15)
    ]
    ours, theirs = (min(times) for times in zip(*pairs, strict=True))
    assert ours < 10 / 6 * theirs, (ours, theirs)  # 10 ms where pandas takes 6 ms
