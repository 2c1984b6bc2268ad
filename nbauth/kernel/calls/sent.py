"""The requests that were authorised, of both libraries, and how they are repeated."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from nbauth.core.secret import SecretStr

authorised_by: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""The ``Auth`` of each request. Only looked up, never iterated, since other threads add to it."""
brings_its_own: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""The requests of the library requests that have their own ``Authorization`` header."""

NOT_PICKLED = "Bearer (nbauth does not pickle tokens)"

reasons: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Why the token of a refused request was not enough, if its caller reports that."""


class SentHeader(str):
    """The value of an ``Authorization`` header that nbauth has added to a request.

    Responses and errors have the request with its headers. In their pickles, which Dask, joblib and
    caches write, a note stands in place of the token.
    """

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """httpx stores headers as bytes."""
        return _SentBytes(super().encode(encoding, errors))

    def __reduce_ex__(self, protocol: object) -> Any:
        return str, (NOT_PICKLED,)

    def __copy__(self) -> SentHeader:
        return self

    def __deepcopy__(self, memo: object) -> SentHeader:
        return self


class _SentBytes(bytes):
    def __reduce_ex__(self, protocol: object) -> Any:
        return bytes, (NOT_PICKLED.encode(),)

    def __copy__(self) -> _SentBytes:
        return self

    def __deepcopy__(self, memo: object) -> _SentBytes:
        return self


def bearer(token: str) -> SentHeader:
    """The value of an ``Authorization`` header (RFC 6750 §2.1)."""
    return SentHeader(f"Bearer {token}")


def sent_again(again: Any, response: Any, options: Mapping[str, Any]) -> Any:
    """Send the repeated request; return its response."""
    before = response.request.headers.get("Authorization")
    if isinstance(before, SecretStr):  # tracebacks show the headers of requests
        again.headers["Authorization"] = type(before)(again.headers["Authorization"])
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


def kept_by(outcome: Any) -> Iterator[Any]:
    """All requests that a response or an error of either library leads to.

    Repeated and redirected requests are in the histories of responses, in any depth.
    """
    known: set[int] = set()
    others = [outcome]
    while others:
        one = others.pop()
        if one is None or id(one) in known:
            continue
        known.add(id(one))
        if isinstance(one, BaseException):
            others.append(getattr(one, "response", None))
            following = None
        else:
            others += one.history
            following = one.next_request if hasattr(one, "next_request") else one.next
        found = None
        with suppress(AttributeError, RuntimeError):  # httpx raises it if there is none
            found = one.request
        for request in (found, following):
            if hasattr(request, "headers"):
                yield request
