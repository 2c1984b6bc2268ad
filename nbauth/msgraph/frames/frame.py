"""Rows of Graph as a data frame of pandas or polars, or as a plain table.

Names, order and nested objects: see :func:`nbauth.msgraph.frames.flattening.columns_of`. Types:

- A column in which each value is a full ISO 8601 time with a zone becomes a time in UTC, in
  microseconds, or in nanoseconds if a value has a seventh digit. Dates (``birthday``) and times
  without a zone (``start.dateTime`` of an event) stay text. So does a column with a time that does
  not exist. The years 0001 and 9999, which Graph writes for "no date", are kept.
- Whole numbers and Booleans stay what they are: with missing values, they get pandas' nullable
  types ``Int64`` and ``boolean``. Numbers that do not fit stay Python's integers.
- Other columns have the types that the library infers.

Annotations: pandas' ``attrs`` has those of the response under their names, and those of rows in
``attrs["rows"]``: ``attrs["rows"]["@odata.etag"][label]``, in which ``label`` is the row's label in
the index of the returned frame. An annotation of a nested object has a dotted name
(``manager.@odata.type``). If the types of rows differ, ``@odata.type`` is also a column.
polars has no place for annotations, so it gets only that column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from nbauth.core.errors import ConfigurationError
from nbauth.msgraph.frames.flattening import Column, Columns, columns_of
from nbauth.msgraph.frames.stamps import moments, unit_of
from nbauth.msgraph.frames.table import Table

To = Literal["pandas", "polars", "table"]
_EXACT = 2**53
"""Above it, a float cannot express every whole number."""
_NULL = type(None)


class RowValues(tuple[Any, ...]):
    """One annotation of all rows, by row.

    pandas copies ``attrs`` deeply at each operation on a frame, so this copy has to be cheap.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> RowValues:
        return self


def frame(
    rows: Iterable[Any],
    *,
    select: Sequence[str] | str | None = None,
    to: To | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """The rows as a frame. ``to=None``: of pandas where it is installed, else a plain table.

    ``select``: the columns that come first; they are there without rows too.
    ``attrs``: the annotations of the response. Raises ``ConfigurationError``.
    """
    library = library_for(to)
    if to == "polars":
        from nbauth.msgraph.frames.polars_frame import polars_frame

        return polars_frame(library, columns_of(rows, select))
    if library is None:
        return Table(rows, select=select, attrs=attrs)
    return _pandas_frame(library, columns_of(rows, select), attrs or {})


def library_for(to: To | None) -> Any:
    """The module that makes the frame, ``None`` for a plain table.

    Raises ``ConfigurationError`` if there is no such form, or the module is not installed.
    """
    if to not in (None, "pandas", "polars", "table"):
        raise ConfigurationError(
            f"to={to!r} is not known.", code="bad_option", hint='Use "pandas", "polars" or "table".'
        )
    if to == "polars":
        from nbauth.msgraph.frames.polars_frame import imported

        return imported()
    return None if to == "table" else _pandas(needed=to == "pandas")


def _pandas(*, needed: bool) -> Any:
    try:
        import pandas
    except ImportError as error:
        if not needed:
            return None
        raise ConfigurationError(
            'to="pandas" needs the package pandas, which is not installed.',
            code="missing_package",
            hint='Install it: pip install "nbauth[graph]". Or use to="table".',
        ) from error
    return pandas


def _pandas_frame(pandas: Any, columns: Columns, attrs: Mapping[str, Any]) -> Any:
    index = pandas.RangeIndex(columns.height)
    typed = {name: _typed(pandas, column) for name, column in columns.data.items()}
    try:
        made = pandas.DataFrame(typed, index=index)
    except UnicodeEncodeError:  # half of a surrogate pair: pandas 3 keeps text as UTF-8
        as_objects = {
            name: pandas.Series(values, dtype=object) if isinstance(values, list) else values
            for name, values in typed.items()
        }
        made = pandas.DataFrame(as_objects, index=index)
    made.attrs.update(attrs)
    if columns.annotations:
        made.attrs["rows"] = {name: RowValues(each) for name, each in columns.annotations.items()}
    return made


def _typed(pandas: Any, column: Column) -> Any:
    """The values in a type that pandas does not infer itself; else the values."""
    values, kinds = column.values, column.kinds - {_NULL}
    missing = _NULL in column.kinds
    if kinds == {str}:
        return _times(pandas, values)
    if kinds == {bool} and missing:
        return pandas.array(values, dtype="boolean")
    if kinds == {int} and missing:
        fits = all(value is None or -(2**63) <= value < 2**63 for value in values)
        return pandas.array(values, dtype="Int64") if fits else pandas.Series(values, dtype=object)
    if kinds == {int, float} and any(type(v) is int and abs(v) > _EXACT for v in values):
        return pandas.Series(values, dtype=object)
    return values


def _times(pandas: Any, values: list[str | None]) -> Any:
    unit, far = unit_of(values)
    if unit is None:
        return values
    try:
        if not far:
            read = pandas.to_datetime(values, format="ISO8601", utc=True)
            return pandas.Series(read.as_unit(unit))
        plain = [time and time.replace(tzinfo=None) for time in moments(values)]
    except (ValueError, OverflowError):  # the 30th of February; the year 0 in UTC
        return values
    return pandas.Series(pandas.array(plain, dtype="datetime64[us]")).dt.tz_localize("UTC")
