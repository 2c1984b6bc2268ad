"""Checks what a caller gives for a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.text import plain
from nbauth.msgraph.batch.items import METHODS, BatchRequest

MOST_WIDTH = 32


def checked_width(width: object) -> int:
    """How many batches are sent at once. Raises ``ConfigurationError`` if that is not allowed."""
    if isinstance(width, int) and 1 <= width <= MOST_WIDTH:
        return width
    raise ConfigurationError(f"width is 1 to {MOST_WIDTH}.", code="bad_option")


def method_of(request: BatchRequest) -> str:
    """The method of a request. Raises ``ConfigurationError`` if a batch cannot contain it."""
    given: object = request.method
    method = given.upper() if isinstance(given, str) else str(given)
    if method in METHODS:
        return method
    raise ConfigurationError(
        f"A batch cannot contain {plain(method)[:20]}.",
        code="bad_option",
        hint=f"The methods are {', '.join(METHODS)}.",
    )


def needs_of(request: BatchRequest, at: int) -> tuple[int, ...]:
    """The positions on which a request depends. Raises ``ConfigurationError``."""
    given: object = () if request.depends_on is None else request.depends_on
    needs: list[Any] = list(given) if isinstance(given, Iterable) else [given]
    if all(type(one) is int and 0 <= one < at for one in needs):
        return tuple(dict.fromkeys(needs))
    raise ConfigurationError(
        f"Request {at} depends on a request that is not before it.",
        code="bad_option",
        hint="depends_on has positions of earlier requests; the first one is 0.",
    )
