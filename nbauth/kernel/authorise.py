"""The one object that requests and httpx take as ``auth``, and a session with it.

The decision is made on the prepared URL, at every hop; see :mod:`nbauth.kernel.hosts`. A request to
any host that is not listed goes out as it came, without a token.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from importlib.util import find_spec
from types import NoneType
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from requests.auth import AuthBase

from nbauth.core.errors import NbAuthError
from nbauth.core.log import place
from nbauth.core.scopes import Scopes
from nbauth.core.secret import refuse_pickling
from nbauth.kernel.bound import Bound
from nbauth.kernel.hosts import Hosts, scopes_at
from nbauth.kernel.refusals import Refusals, Where
from nbauth.oauth.network import VerifiedSession

log = logging.getLogger(__name__)
_httpx_auth: Any = object
if find_spec("httpx") is not None:
    import httpx

    _httpx_auth = httpx.Auth

_authorised_by: WeakKeyDictionary[Any, Auth] = WeakKeyDictionary()
"""What decides on a request of requests; it is looked up alone, since threads add to it."""


class Auth(AuthBase, _httpx_auth):  # type: ignore[misc]
    """Adds ``Authorization: Bearer`` (RFC 6750 §2.1) to requests for listed hosts only.

    It keeps the client and the account that it was made with. A 401 is answered once, with a token
    fetched anew, by repeating the request that was refused and no other.
    """

    def __init__(self, bound: Bound, hosts: Hosts, refusals: Refusals) -> None:
        self.bound = bound
        self._hosts = dict(hosts)
        self._refusals = refusals

    def __repr__(self) -> str:
        listed = (host for host, scopes in self._hosts.items() if scopes is not None)
        return f"<nbauth.auth for {', '.join(listed)}>"

    def __reduce_ex__(self, protocol: object) -> Any:
        refuse_pickling(self, "call nbauth.auth() where it is needed.")

    def scopes_for(self, url: str) -> Scopes | None:
        """The scopes of the token that a prepared URL gets, or ``None`` for none."""
        return scopes_at(url, self._hosts)

    def _decided(self, url: object) -> Scopes | None:
        """The scopes of the token that a request gets, told to the log."""
        scopes = self.scopes_for(str(url or ""))
        if log.isEnabledFor(logging.DEBUG):
            host = place(url).partition("/")[0]
            log.debug("%s gets %s", host, "no token" if scopes is None else f"a token for {scopes}")
        return scopes

    def _header(self, scopes: Scopes) -> str:
        return f"Bearer {self.bound.cached(scopes) or self.bound.get(scopes).access_token}"

    def _refused(self, request: Any, response: Any) -> tuple[Scopes, str] | None:
        """The scopes and the text of the token that a response has refused, if one was sent.

        ``None`` also where another token would not help.
        """
        if response.status_code != 401:
            return None
        scopes = self.scopes_for(str(request.url or ""))
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scopes is None or scheme != "Bearer":
            return None
        passed_on = self._refusals.pass_on(self._where(request, scopes), text)
        what = "passed on" if passed_on else "asked for another one"
        log.debug("%s refused its token; %s", place(request.url).partition("/")[0], what)
        return None if passed_on else (scopes, text)

    def _another(self, request: Any, scopes: Scopes, refused: str) -> str:
        """Another token than the one that was refused.

        Raises if there is none; for a while the same again, with nobody asked.
        """
        where = self._where(request, scopes)
        self._refusals.raise_if_no_other(where, refused, self.bound.changes)
        try:
            return self.bound.get(scopes, refused).access_token
        except NbAuthError as error:
            self._refusals.no_other(where, refused, self.bound.changes, error)
            raise

    async def _another_async(self, request: Any, scopes: Scopes, refused: str) -> str:
        where = self._where(request, scopes)
        self._refusals.raise_if_no_other(where, refused, self.bound.changes)
        try:
            return (await self.bound.get_async(scopes, refused)).access_token
        except NbAuthError as error:
            self._refusals.no_other(where, refused, self.bound.changes, error)
            raise

    def _try_with(self, request: Any, scopes: Scopes, fresh: str) -> None:
        request.headers["Authorization"] = f"Bearer {fresh}"
        self._refusals.trying(self._where(request, scopes), str(fresh))

    def _tried(self, request: Any, scopes: Scopes, response: Any) -> None:
        """Judge a repeated request by its own answer; one that was redirected is not the last."""
        where = self._where(request, scopes)
        if response.request is not request or response.status_code != 401:
            self._refusals.helped(where)
        else:
            self._refusals.pass_on(where, request.headers["Authorization"].partition(" ")[2])

    def _where(self, request: Any, scopes: Scopes) -> Where:
        return urlsplit(str(request.url)).netloc, self.bound.key, scopes.key

    # ── requests ────────────────────────────────────────────────────────────────────────────

    def __call__(self, request: Any) -> Any:
        _authorised_by[request] = self
        scopes = self._decided(request.url)
        if scopes is not None:
            request.headers["Authorization"] = self._header(scopes)
            # A redirect shares the hooks of the request before it: once is enough.
            if self._retry not in request.hooks.get("response", ()):
                request.register_hook("response", self._retry)
        return request

    def _retry(self, response: Any, **options: Any) -> Any:
        """Once after a 401; the hook is gone from the second request."""
        if not isinstance(response.request.body, (bytes, str, NoneType)):
            return response  # a stream is used up
        refused = self._refused(response.request, response)
        if refused is None:
            return response
        scopes, text = refused
        again = response.request.copy()
        again.hooks = {
            event: [hook for hook in hooks if hook != self._retry]
            for event, hooks in again.hooks.items()
        }
        _authorised_by[again] = self
        _ = response.content  # gives the connection back, even if there is no other token
        response.close()
        self._try_with(again, scopes, self._another(again, scopes, text))
        second = response.connection.send(again, **options)
        second.request = again
        self._tried(again, scopes, second)
        second.history.append(response)
        return second

    # ── httpx ───────────────────────────────────────────────────────────────────────────────

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The same for ``httpx.Client``."""
        scopes = self._decided(request.url)
        if scopes is not None:
            request.headers["Authorization"] = self._header(scopes)
        response = yield request
        again = _last_of(response)
        refused = self._refused(again, response)
        if refused is not None and _can_be_repeated(again):
            scopes, text = refused
            self._try_with(again, scopes, self._another(again, scopes, text))
            self._tried(again, scopes, (yield again))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """The same for ``httpx.AsyncClient``: the event loop goes on while a token is fetched."""
        scopes = self._decided(request.url)
        if scopes is not None:
            token = (await self.bound.get_async(scopes)).access_token
            request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        again = _last_of(response)
        refused = self._refused(again, response)
        if refused is not None and _can_be_repeated(again):
            scopes, text = refused
            self._try_with(again, scopes, await self._another_async(again, scopes, text))
            self._tried(again, scopes, (yield again))


def _last_of(response: Any) -> Any:
    """The request that a response answers: after redirects it is not the one that was sent first,
    which may have been a POST that has done its work."""
    return response.request


def _can_be_repeated(request: Any) -> bool:
    """Whether an httpx request has its body in memory; a stream is used up by the first sending."""
    return isinstance(request.stream, httpx.ByteStream)


class AuthorisedSession(VerifiedSession):
    """A ``requests.Session`` whose calls to listed hosts authorise themselves, redirects included.

    ``verify`` and ``proxies`` are the settings'; a setting beats the environment's bundles.
    """

    def __init__(
        self, auth: Auth, verify: bool | str | None, proxies: Mapping[str, str] | None
    ) -> None:
        super().__init__(verify, proxies)
        self.auth = auth

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """At a redirect: what authorised the request decides anew; any other auth is requests'."""
        auth = _authorised_by.get(response.request)
        if auth is None:
            super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
            return
        prepared_request.headers.pop("Authorization", None)
        auth(prepared_request)

    def __reduce_ex__(self, protocol: object) -> Any:
        refuse_pickling(self, "call nbauth.session() where it is needed.")
