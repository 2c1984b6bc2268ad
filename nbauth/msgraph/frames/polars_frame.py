"""Columns as a data frame of polars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.msgraph.frames.flattening import Columns
from nbauth.msgraph.frames.stamps import moments, tenths_of_microseconds, unit_of

_DEEPEST = 32
"""polars reads types by recursion in native code, so deeper values stay Python objects."""


class _Mixed(Exception):
    """polars has no type for these values."""


def imported() -> Any:
    """The module polars. Raises ``ConfigurationError`` without it."""
    try:
        import polars
    except ImportError as error:
        raise ConfigurationError(
            'to="polars" needs the package polars, which is not installed.',
            code="missing_package",
            hint="pip install polars",
        ) from error
    return polars


def polars_frame(polars: Any, columns: Columns) -> Any:
    """The columns as a frame of polars, the module.

    Values of mixed types are kept as Python objects (``polars.Object``).
    """
    return polars.DataFrame(
        [_series(polars, name, each.values) for name, each in columns.data.items()]
    )


def _series(polars: Any, name: str, values: list[Any]) -> Any:
    try:
        dtype = _dtype(polars, values)
        if dtype == polars.String and (times := _times(polars, name, values)) is not None:
            return times
        return polars.Series(name, values, dtype=dtype, strict=True)
    except (_Mixed, UnicodeEncodeError):  # the second: half of a surrogate pair
        return polars.Series(name, values, dtype=polars.Object)


def _dtype(polars: Any, values: Iterable[Any], depth: int = 0) -> Any:
    """The type of polars that keeps all values. Raises ``_Mixed``."""
    given = [value for value in values if value is not None]
    kinds = set(map(type, given))
    if not kinds:
        return polars.Null
    if depth > _DEEPEST:
        raise _Mixed
    if kinds == {str}:
        return polars.String
    if kinds == {bool}:
        return polars.Boolean
    if kinds == {float}:
        return polars.Float64
    if kinds <= {int, float}:
        largest = max(abs(value) for value in given if type(value) is int)
        limit = 2**53 if float in kinds else 2**63 - 1
        if largest > limit:
            raise _Mixed
        return polars.Float64 if float in kinds else polars.Int64
    if kinds == {list}:
        return polars.List(_dtype(polars, chain.from_iterable(given), depth + 1))
    if all(issubclass(kind, Mapping) for kind in kinds):
        names = dict.fromkeys(chain.from_iterable(given))
        if not names:
            raise _Mixed
        fields = {name: [value.get(name) for value in given] for name in names}
        return polars.Struct(
            {name: _dtype(polars, each, depth + 1) for name, each in fields.items()}
        )
    raise _Mixed


def _times(polars: Any, name: str, values: list[str | None]) -> Any:
    """The column as times in UTC; ``None`` if its values are not all times."""
    unit, _ = unit_of(values)
    if unit is None:
        return None
    try:
        times = polars.Series(name, moments(values), dtype=polars.Datetime("us", "UTC"))
    except (ValueError, OverflowError):
        return None
    if unit == "us":
        return times
    nanoseconds = polars.Series(tenths_of_microseconds(values), dtype=polars.Int64) * 100
    exact = polars.Datetime("ns", "UTC")
    return (times.cast(exact).to_physical() + nanoseconds).cast(exact)
