"""Values of the notebook in a path, in a query and in JSON of ``%graph``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from IPython.core.error import UsageError

from nbauth.core.account import Account
from nbauth.core.errors import ConfigurationError
from nbauth.jupyter.expansions import as_text, refuse_secret_in
from nbauth.msgraph.odata import literal

NAMES = (
    "select", "filter", "expand", "orderby", "search", "top", "count", "skip", "value", "ref",
    "batch", "metadata", "format", "apply", "compute", "levels", "skiptoken", "deltatoken", "it",
    "root", "all", "entity", "index",
)  # fmt: skip
"""Names of OData with ``$``, which are no variables."""
_NAME = re.compile(rf"\$(?:{'|'.join(NAMES)})(?!\w)")
_LIST = (list, tuple, set, frozenset)


def odata_name(line: str, at: int) -> str:
    """The ``$select`` or other OData name at the place; ``""`` if a variable may be meant there.

    Such a name begins a word, or follows ``?``, ``&``, ``/``, ``(`` or ``;``.
    """
    before = line[at - 1 : at]
    found = _NAME.match(line, at) if not before or before.isspace() or before in "?&/(;" else None
    return found[0] if found else ""


def plain_value(value: Any) -> Any:
    """The value of Python for one of numpy or pandas."""
    return value.tolist() if hasattr(value, "tolist") else value


def query_text(value: Any, typed: str, option: str) -> str:
    """A value outside quotes of a query. In a filter, all but text becomes an OData literal."""
    refuse_secret_in(value, typed)
    value = plain_value(value)
    is_text = isinstance(value, str | Account | Mapping) or value is None
    if option == "filter" and not is_text:
        return _literal(value, typed)
    if isinstance(value, _LIST):
        return ",".join(as_text(plain_value(one), typed) for one in value)
    return _literal(value, typed) if isinstance(value, bool | date) else as_text(value, typed)


def quoted_text(value: Any, typed: str, mark: str) -> str:
    """A value between quotation marks of OData, in which the same mark is escaped."""
    refuse_secret_in(value, typed)
    value = plain_value(value)
    text = _literal(value, typed) if isinstance(value, bool | date) else as_text(value, typed)
    if mark == "'":
        return text.replace("'", "''")
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _literal(value: object, typed: str) -> str:
    try:
        return literal(value)
    except ConfigurationError:
        raise UsageError(
            f"{typed} is a {type(value).__name__}, for which OData has no literal."
        ) from None


def as_json(value: Any, typed: str) -> str:
    """A value as JSON. Raises ``UsageError`` for a value that JSON has no form for."""
    refuse_secret_in(value, typed)
    try:
        return json.dumps(value, default=_json_form, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise UsageError(f"{typed} cannot be written as JSON.") from None


def _json_form(value: Any) -> Any:
    match value:
        case date():
            return literal(value)
        case UUID():
            return str(value)
        case Account():
            return value.username
        case os.PathLike():
            return os.fspath(value)
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError
