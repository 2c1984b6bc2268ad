"""Tokens for plain calls of httpx; see :mod:`nbauth.kernel.calls.authorised_calls`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.execution import present
from nbauth.kernel.calls.sent import kept_by
from nbauth.oauth.network import own_class

_FRAMES = 4
"""Between ``httpx.get`` or ``httpx.stream`` and ``Client.send`` there are fewer."""

_FUNCTIONS = {
    code
    for each in (httpx.request, httpx.stream)
    if (code := getattr(inspect.unwrap(each), "__code__", None)) is not None
}


def replacements() -> Iterator[tuple[type, str, Callable[[Any], Any]]]:
    """The methods of httpx to replace."""
    yield own_class("httpx", httpx.Client), "send", _send
    yield own_class("httpx", httpx.AsyncClient), "send", _send_async


def _send(before: Any) -> Any:
    def send(client: Any, request: Any, **options: Any) -> Any:
        if (auth := _auth_for(client, request, options)) is None:
            return before(client, request, **options)
        try:
            response = before(client, request, **{**options, "auth": auth})
            _forget(request, response)
            return response
        except BaseException as error:  # also an interrupt in the line above
            _forget(request, error)
            raise

    return send


def _send_async(before: Any) -> Any:
    async def send(client: Any, request: Any, **options: Any) -> Any:
        if (auth := _auth_for(client, request, options)) is None:
            return await before(client, request, **options)
        try:
            response = await before(client, request, **{**options, "auth": auth})
            _forget(request, response)
            return response
        except BaseException as error:  # also an interrupt in the line above
            _forget(request, error)
            raise

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
    frame = sys._getframe(2)
    for _ in range(_FRAMES):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_code in _FUNCTIONS:
            return True
    return False


def _forget(request: Any, outcome: Any) -> None:
    """Remove the token from requests that the caller may keep and send again."""
    request.headers.pop("Authorization", None)
    for each in kept_by(outcome):
        if each is not request:
            each.headers.pop("Authorization", None)
