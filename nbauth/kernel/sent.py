"""The requests that were authorised, of both libraries, and how they are repeated."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

authorised_by: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""The ``Auth`` of each request. Only looked up, never iterated, since other threads add to it."""
brings_its_own: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""The requests of the library requests that have their own ``Authorization`` header."""


def sent_again(again: Any, response: Any, options: Mapping[str, Any]) -> Any:
    """Send the repeated request; return its response."""
    second = response.connection.send(again, **options)
    second.request = again
    second.history.append(response)
    return second


def has_its_own(request: Any) -> bool:
    """Whether an httpx request has an ``Authorization`` header that nbauth did not set."""
    return "Authorization" in request.headers and request not in authorised_by


def last_of(response: Any) -> Any:
    """The request that this response belongs to. After a redirect it differs from the first
    request, which may have been a POST that was already processed."""
    return response.request


def can_be_repeated(request: Any) -> bool:
    """Whether an httpx request has its body in memory; a stream can't be sent twice."""
    return isinstance(request.stream, sys.modules["httpx"].ByteStream)
