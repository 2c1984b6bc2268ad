"""OData query options as keywords, and values in OData text (OData 4.01 URL conventions, §5.1)."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from operator import index
from typing import Any, TypedDict
from urllib.parse import quote, unquote_plus
from uuid import UUID

from nbauth.core.errors import ConfigurationError

_READABLE = "$,:()'/@;=*!~ ".replace(" ", "")
"""What is not percent-encoded in a query. ``+`` is: servers read it as a blank."""


_NUMBERS = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}


class Options(TypedDict, total=False):
    """OData's query options, without ``$``; ``params`` are others, as they are."""

    select: str | Iterable[str]
    filter: str
    expand: str | Iterable[str]
    orderby: str | Iterable[str]
    search: str
    top: int
    skip: int
    count: bool
    params: Mapping[str, object]
    headers: Mapping[str, str]


NAMES = ("select", "filter", "expand", "orderby", "search", "top", "skip", "count")


def literal(value: object) -> str:
    """A Python value as an OData literal: ``'O''Brien'``, ``true``, ``2026-01-31T00:00:00Z``.

    A list becomes ``('a','b')``, for ``in``. A time without a zone is taken as UTC. Raises
    ``ConfigurationError`` for a value that OData has no literal for.
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return int.__repr__(value)  # repr() of an IntEnum has its name
        case float():
            return _NUMBERS.get(number := float.__repr__(value), number)
        case datetime() if value == value:  # pandas.NaT is none
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date() if value == value:
            return value.isoformat()
        case UUID():
            return str(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case list() | tuple() | set() | frozenset():
            return f"({','.join(literal(one) for one in value)})"
    if getattr(value, "shape", None) == () and value.dtype.kind in "biuf":  # type: ignore[attr-defined]
        return literal(value.item())  # type: ignore[attr-defined]
    raise ConfigurationError(
        f"OData has no literal for a {type(value).__name__}.",
        code="bad_option",
        hint="Use a text, a number, a bool, a date or time, None, or a list of these.",
    )


class _Literals(string.Formatter):
    def format_field(self, value: object, format_spec: str) -> str:
        return literal(value)


def odata(template: str, *values: object, **named: object) -> str:
    """An OData expression with values in the places of ``{}`` and ``{name}``, quoted.

    ``odata("surname eq {} and accountEnabled eq {}", "O'Brien", True)`` is
    ``surname eq 'O''Brien' and accountEnabled eq true``.

    Raises ``ConfigurationError`` if values and places do not match.
    """
    try:
        return _Literals().vformat(template, values, named)
    except (LookupError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"The template does not fit its values ({type(error).__name__}).",
            code="bad_option",
            hint="Give one value for each {}, or a keyword for each {name}.",
        ) from None


def query_of(options: Mapping[str, Any]) -> dict[str, str]:
    """The query of keywords: ``{"select": ["id", "mail"]}`` becomes ``{"$select": "id,mail"}``.

    Raises ``ConfigurationError`` for an unknown keyword.
    """
    query: dict[str, str] = {}
    for name, value in options.items():
        if name not in NAMES:
            raise ConfigurationError(
                f"There is no option {name}.",
                code="bad_option",
                hint=f"The options are {', '.join(NAMES)}. Others go into params={{...}}.",
            )
        if value is not None:
            query[f"${name}"] = _search(value) if name == "search" else _text(value)
    return query


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return ",".join(map(str, value))
    with suppress(TypeError):  # numpy's integers
        return str(index(value))  # type: ignore[arg-type]
    raise ConfigurationError(f"An option is a {type(value).__name__}.", code="bad_option")


def _search(value: object) -> str:
    """Graph requires double quotes around a search (document: search-query-parameter)."""
    text = _text(value)
    if '"' in text:
        return text
    escaped = text.replace("\\", "\\\\")
    return f'"{escaped}"'


def params_of(params: object) -> dict[str, str]:
    """Other options: texts as they are, ``True`` as ``true``, lists with commas, times in ISO 8601.

    ``None`` leaves an option out. Raises ``ConfigurationError`` for what is no mapping of names.
    """
    if params is None:
        return {}
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise ConfigurationError(
            "params has to be a dict with texts as keys.",
            code="bad_option",
            hint='For example params={"startDateTime": "2026-01-01T00:00:00Z"}.',
        )
    return {name: _param(value) for name, value in params.items() if value is not None}


def _param(value: object) -> str:
    if isinstance(value, bool | date):  # a datetime is a date
        return literal(value)
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(_param, value))
    return str(value)


def repeatable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for several requests: what can be read only once, such as a generator, as a list."""
    return {
        name: list(value) if isinstance(value, Iterator) else value
        for name, value in options.items()
    }


def encoded(query: Iterable[tuple[str, object]]) -> str:
    """A query as text; values are percent-encoded, names with their ``$`` are not."""
    return "&".join(
        f"{quote(name, safe='$@')}={quote(str(value), safe=_READABLE)}" for name, value in query
    )


def pairs_of(text: str) -> list[tuple[str, str]]:
    """The query of a URL: names and values in order. A name may be there more than once."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def decoded(text: str) -> dict[str, str]:
    """The query of a URL by name."""
    return dict(pairs_of(text))
