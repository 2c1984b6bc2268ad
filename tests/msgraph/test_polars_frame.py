"""Rows become polars frames, without pandas and without pyarrow."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import polars
import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.msgraph.frames.frame import frame


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["a", None], polars.String),
        ([1, None, 2**63 - 1], polars.Int64),
        ([2**63, 1], polars.Object),
        ([-(2**63) - 1, None], polars.Object),
        ([1, 0.5, None], polars.Float64),
        ([0.5], polars.Float64),
        ([2**53 + 1, 0.5], polars.Object),
        ([True, None], polars.Boolean),
        ([True, 1], polars.Object),
        ([1, "a"], polars.Object),
        ([None], polars.Null),
        ([["a"], [], None], polars.List(polars.String)),
        ([[1], ["a"]], polars.Object),
        ([[{}], [{}]], polars.Object),
        ([["a", None]], polars.List(polars.String)),
        (["\ud800"], polars.Object),
        ([["\ud800"]], polars.Object),
        (["2026-01-02"], polars.String),
        (["2026-02-30T00:00:00Z"], polars.String),
    ],
)
def test_values_are_kept(values: list[Any], dtype: Any) -> None:
    column = frame([{"a": value} for value in values], to="polars")["a"]
    assert column.dtype == dtype
    assert column.to_list() == values


def test_lists_of_different_objects_keep_all_fields() -> None:
    rows = [{"to": [{"a": 1}]}, {"to": [{"b": [{"c": "x"}]}, {"a": 2}]}]
    column = frame(rows, to="polars")["to"]
    assert column.to_list() == [
        [{"a": 1, "b": None}],
        [{"a": None, "b": [{"c": "x"}]}, {"a": 2, "b": None}],
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("2026-01-02T03:04:05+02:00", "us", "2026-01-02 01:04:05.000000"),
        ("2026-01-02T03:04:05.1234567Z", "ns", "2026-01-02 03:04:05.123456700"),
        ("1969-12-31T23:59:59.9999999Z", "ns", "1969-12-31 23:59:59.999999900"),
        ("9999-12-31T23:59:59.9999999Z", "us", "9999-12-31 23:59:59.999999"),
        ("0001-01-01T00:00:00Z", "us", "0001-01-01 00:00:00.000000"),
    ],
)
def test_times_are_utc(value: str, unit: Any, text: str) -> None:
    column = frame([{"at": value}, {"at": None}], to="polars")["at"]
    assert column.dtype == polars.Datetime(unit, "UTC")
    assert column.dt.to_string(f"%Y-%m-%d %H:%M:%S%.{6 if unit == 'us' else 9}f")[0] == text
    assert column[1] is None


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: [{"a": inner}]])
def test_deeply_nested_lists_are_kept(wrap: Any) -> None:
    value: Any = [1]
    for _ in range(50_000):
        value = wrap(value)
    assert frame([{"a": value}], to="polars")["a"].dtype == polars.Object


def test_names_order_and_types() -> None:
    rows = [{"@odata.type": "#user", "@odata.etag": "e", "id": 1, "from": {"a": "x"}}]
    df = frame([*rows, {"@odata.type": "#group", "id": 2}], select="from,none", to="polars")
    assert df.columns == ["from.a", "none", "id", "@odata.type"]
    assert frame([], select=["id"], to="polars").columns == ["id"]


def test_polars_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigurationError) as refused:
        frame([], to="polars")
    assert refused.value.hint == "pip install polars"


def test_it_needs_neither_pandas_nor_pyarrow() -> None:
    code = (
        "import sys; sys.modules.update(pandas=None, pyarrow=None, numpy=None)\n"
        "from nbauth.msgraph.frames.frame import frame\n"
        "rows = [{'a': [1], 'at': '2026-01-02T03:04:05.1234567Z', 'b': {'c': [{'d': 'x'}]}}]\n"
        "print(frame(rows, to='polars').shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "(1, 3)\n", done.stderr
