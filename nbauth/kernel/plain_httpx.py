"""Tokens for plain calls of httpx; see :mod:`nbauth.kernel.authorised_calls`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from nbauth.kernel.authorise import Auth
from nbauth.kernel.execution import present

_FRAMES = 4
"""Between ``httpx.get`` or ``httpx.stream`` and ``Client.send`` there are fewer."""


def replacements() -> Iterator[tuple[type, str, Callable[[Any], Any]]]:
    """The methods of httpx to replace."""
    yield httpx.Client, "send", _send
    yield httpx.AsyncClient, "send", _send_async


def _send(before: Any) -> Any:
    def send(client: Any, request: Any, **options: Any) -> Any:
        if (auth := _auth_for(client, request, options)) is None:
            return before(client, request, **options)
        response = None
        try:
            response = before(client, request, **{**options, "auth": auth})
            return response
        finally:
            _forget(request, response)

    return send


def _send_async(before: Any) -> Any:
    async def send(client: Any, request: Any, **options: Any) -> Any:
        if (auth := _auth_for(client, request, options)) is None:
            return await before(client, request, **options)
        response = None
        try:
            response = await before(client, request, **{**options, "auth": auth})
            return response
        finally:
            _forget(request, response)

    return send


def _auth_for(client: Any, request: Any, options: dict[str, Any]) -> Auth | None:
    """The ``auth`` to use for a request whose caller has given none."""
    execution = present()
    auth = None if execution is None else execution.auth
    if execution is None or auth is None:
        return None
    given = options.get("auth", httpx.USE_CLIENT_DEFAULT)
    own = getattr(client, "auth", None) is not None or "Authorization" in request.headers
    plain = given is httpx.USE_CLIENT_DEFAULT or (given is None and _is_called_by_a_function())
    if own or not plain:
        execution.sent = True
        return None
    url = str(request.url)
    listed = auth.scopes_for(url) is not None
    execution.note(url, sent=listed)
    return auth if listed else None


def _is_called_by_a_function() -> bool:
    """Whether the call comes from ``httpx.get`` or the like.

    They pass ``auth=None`` if they were called without ``auth``. In a call of a client,
    ``auth=None`` means that the request must have no ``auth``.
    """
    functions = {inspect.unwrap(each).__code__ for each in (httpx.request, httpx.stream)}
    frame = sys._getframe(2)
    for _ in range(_FRAMES):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_code in functions:
            return True
    return False


def _forget(request: Any, response: Any) -> None:
    """Remove the token from requests that the caller may keep and send again."""
    kept = [request]
    if response is not None:
        kept += [response.request, *(each.request for each in response.history)]
        kept += [] if response.next_request is None else [response.next_request]
    for each in kept:
        each.headers.pop("Authorization", None)
