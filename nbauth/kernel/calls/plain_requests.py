"""Tokens for plain calls of requests; see :mod:`nbauth.kernel.calls.authorised_calls`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MethodType, SimpleNamespace
from typing import Any

from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth

from nbauth.core.secret import SecretStr
from nbauth.kernel.calls.auth_of_execution import AuthOfExecution
from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.execution import Execution, present
from nbauth.kernel.calls.sent import authorised_by, kept_by
from nbauth.oauth.network import OwnSession, VerifiedSession


class _Added(SecretStr):
    """The value of an ``Authorization`` header that this module has added."""

    __slots__ = ()


def replacements() -> Iterator[tuple[type, str, Callable[[Any], Any]]]:
    """The methods of requests to replace."""
    yield OwnSession, "prepare_request", _prepare_request
    yield OwnSession, "send", _send


def _prepare_request(before: Any) -> Any:
    """Marks requests whose caller gave ``auth``, since not every kind of it leaves a trace."""

    def prepare_request(session: Any, request: Any, *args: Any, **options: Any) -> Any:
        prepared = before(session, request, *args, **options)
        if getattr(request, "auth", None) is not None and present() is not None:
            prepared.register_hook("response", _has_its_own_auth)
        return prepared

    return prepare_request


def _has_its_own_auth(response: Any, **_: Any) -> None:
    """A hook that does nothing. Redirected requests have the hooks of the first one."""


def _send(before: Any) -> Any:
    """Called for each redirect, too. Requests of nbauth's own sessions are not changed."""

    def send(session: Any, request: Any, *args: Any, **options: Any) -> Any:
        execution = present()
        auth = None if execution is None else execution.auth
        if execution is None or auth is None or isinstance(session, VerifiedSession):
            return before(session, request, *args, **options)
        if _brings_its_own(session, request):
            execution.sent = True
            return before(session, request, *args, **options)
        ready = _with_token(execution, auth, session, request)
        try:
            response = before(session, ready, *args, **options)
        except BaseException as error:
            _forget(ready, *kept_by(error))
            raise
        if response.request is ready and not response.history and response.next is None:
            _as_before(ready, request)
        else:
            _forget(ready, *kept_by(response))
        return response

    return send


def _brings_its_own(session: Any, request: Any) -> bool:
    """Whether the caller has given ``auth``."""
    if getattr(session, "auth", None) is not None:
        return True
    hooks = (request.hooks or {}).get("response")
    if not hooks:
        return False
    return any(
        hook is _has_its_own_auth or (isinstance(_owner(hook), AuthBase) and not _is_ours(hook))
        for hook in hooks
    )


def _owner(hook: object) -> object:
    """The object whose method a hook is, such as an ``HTTPDigestAuth``."""
    return hook.__self__ if isinstance(hook, MethodType) else None


def _is_ours(hook: object) -> bool:
    return isinstance(_owner(hook), AuthOfExecution)


def _with_token(execution: Execution, auth: Auth, session: Any, request: Any) -> Any:
    """A copy of the request with a token; the request itself if it gets none."""
    url, header = str(request.url or ""), request.headers.get("Authorization")
    ours = isinstance(header, _Added)
    scopes = auth.decided(request)
    if scopes is None and not ours:
        if auth.scopes_for(url) is None:  # else it is a signed address
            execution.note(url, sent=False)
        return request
    if header is not None and not ours and not _is_from_netrc(session, url, header):
        execution.sent = True
        return request
    ready = _copy(request)
    if header is not None:
        del ready.headers["Authorization"]
    if scopes is not None:
        auth.add_token(ready, scopes)
    hooks = ready.hooks.get("response", ())
    if len(hooks) > 1:  # as with auth=: a hook of the caller may raise for a 401
        hooks.sort(key=_is_ours, reverse=True)
    if (text := ready.headers.get("Authorization")) is not None:
        ready.headers["Authorization"] = _Added(text)
        execution.note(url, sent=True)
    return ready


def _copy(request: Any) -> Any:
    """A copy with headers and hooks of its own. ``PreparedRequest.copy`` copies all cookies too."""
    copied = object.__new__(type(request))
    vars(copied).update(vars(request))
    copied.headers = request.headers.copy()
    copied.hooks = {event: [*hooks] for event, hooks in (request.hooks or {}).items()}
    return copied


def _is_from_netrc(session: Any, url: str, header: object) -> bool:
    """Whether requests took the header from ``~/.netrc``; the caller did not ask for it."""
    found = get_netrc_auth(url) if getattr(session, "trust_env", False) else None
    if found is None:
        return False
    basic: Any = SimpleNamespace(headers={})
    return bool(HTTPBasicAuth(*found)(basic).headers["Authorization"] == header)


def _as_before(ready: Any, request: Any) -> None:
    """``_forget`` for most calls, which had no redirect and no error."""
    if isinstance(request.headers.get("Authorization"), _Added):
        _forget(ready)
    else:
        ready.headers, ready.hooks = request.headers, request.hooks


def _forget(*kept: Any) -> None:
    """Remove token and hooks from requests that the caller may keep and send again."""
    for request in kept:
        header = request.headers.get("Authorization")
        if isinstance(header, _Added) or isinstance(authorised_by.get(request), AuthOfExecution):
            request.headers.pop("Authorization", None)
        for event, hooks in (request.hooks or {}).items():
            request.hooks[event] = [hook for hook in hooks if not _is_ours(hook)]
