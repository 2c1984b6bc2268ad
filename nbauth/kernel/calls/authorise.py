"""``auth`` objects for requests and httpx.

The token is chosen by the prepared URL, again after each redirect; see :mod:`.hosts`. A request to
an unlisted host is sent unchanged, without a token. So is a request that has its own
``Authorization`` header or a storage signature. :mod:`.storage` says what a session reads without a
token.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from functools import cache
from types import NoneType
from typing import Any

from requests.auth import AuthBase

from nbauth.core.scopes import Scopes
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.deciding import Deciding
from nbauth.kernel.calls.hosts import Hosts, named
from nbauth.kernel.calls.missing import Documents
from nbauth.kernel.calls.peeking import peek, peek_httpx, peek_httpx_async
from nbauth.kernel.calls.sent import (
    authorised_by,
    bearer,
    brings_its_own,
    can_be_repeated,
    has_its_own,
    last_of,
    reasons,
    sent_again,
)
from nbauth.kernel.calls.storage import may_be_public, wants_token


class Auth(Deciding, AuthBase):
    """Adds ``Authorization: Bearer`` (RFC 6750 §2.1) to requests for listed hosts only.

    It keeps the client and the account that it was made with. After a 401, the refused request is
    repeated once, with a new token; after a 403 that names missing scopes, with one that has them.

    Pickling it stores its client, account and hosts, and no token.
    """

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """For ``isinstance(auth, httpx.Auth)``, by which httpx selects the methods below.

        A base class would have to be imported first, and httpx takes 60 ms.
        """
        base = getattr(sys.modules.get("httpx"), "Auth", None)
        return Auth if base is None else _httpx_auth(base)

    def __repr__(self) -> str:
        return f"<nbauth.auth for {', '.join(self.hosts)} {self.digest}>"

    def __dask_tokenize__(self) -> object:
        return "nbauth.auth", self.bound.names, named(self._hosts), self._public_first

    def __reduce__(self) -> Any:
        return _auth_again, (self.bound, self._hosts, self._public_first, self.documents)

    def __copy__(self) -> Auth:
        return self

    def __deepcopy__(self, memo: object) -> Auth:
        return self

    def for_session(self) -> Auth:
        """A copy for a session, which reads public storage without a token."""
        given = self.bound, self._hosts, self._refusals, self.documents
        return Auth(*given, public_first=True)

    # ── requests ────────────────────────────────────────────────────────────────────────────

    def __call__(self, request: Any) -> Any:
        if "Authorization" in request.headers and request not in authorised_by:
            brings_its_own[request] = True
        authorised_by[request] = self
        if request not in brings_its_own and (scopes := self.decided(request)) is not None:
            self.add_token(request, scopes)
        return request

    def add_token(self, request: Any, scopes: Scopes) -> None:
        """Add a token to a request of the library requests, which has no authorization yet."""
        if self._public_first and may_be_public(request):
            header, hook = self._header_unasked(request, scopes), self._after_all
        else:
            header, hook = self._header(request, scopes), self._retry
        if header is not None:
            request.headers["Authorization"], hook = header, self._retry
        # After a redirect the hooks are those of the previous request: do not add one twice.
        if hook not in request.hooks.get("response", ()):
            request.register_hook("response", hook)

    def _retry(self, response: Any, **options: Any) -> Any:
        """Repeat a request once after a 401 and once after a 403; the repeated request has no such
        hook."""
        whole = isinstance(response.request.body, (bytes, str, NoneType))
        refused = self._refused(response.request, response, whole=whole)
        if refused is None:
            return self._with_wider(response, options)
        if not whole:
            self._for_later(refused, self._another(refused))
            return response
        again = self._repeated(response)
        self._try_with(again, refused, self._another(refused))
        second = sent_again(again, response, options)
        self._tried(again, refused, second)
        return self._with_wider(second, options)

    def _with_wider(self, response: Any, options: Mapping[str, Any]) -> Any:
        """Repeat a request whose response names missing scopes, if a token has them."""
        if (short := self._short(response.request, response)) is None:
            return response
        streamed = bool(options.get("stream"))
        body = None if short.named else peek(response, stream=streamed)
        lacking = self._lack(short, body)
        fresh = None if lacking is None else self._wider(short, lacking)
        if fresh is None or not isinstance(response.request.body, (bytes, str, NoneType)):
            if short.reasons:
                reasons[response.request] = short.reasons[-1]
            return response
        again = self._repeated(response, read=not streamed)
        again.headers["Authorization"] = bearer(fresh)
        return sent_again(again, response, options)

    def _after_all(self, response: Any, **options: Any) -> Any:
        """Repeat a request with a token, if it had none and the response asks for one."""
        request = response.request
        if "Authorization" in request.headers or not may_be_public(request):
            return response
        if not wants_token(response) or (scopes := self.decided(request)) is None:
            return response
        again = self._repeated(response)
        again.headers["Authorization"] = self._header(request, scopes)
        return self._with_wider(sent_again(again, response, options), options)

    def _repeated(self, response: Any, *, read: bool = True) -> Any:
        """A copy of the request of a response, without the hooks that would repeat it again.

        ``read``: whether to read the whole body, so that the connection can be used again.
        """
        again = response.request.copy()
        ours = (self._retry, self._after_all)
        again.hooks = {
            event: [hook for hook in hooks if hook not in ours]
            for event, hooks in again.hooks.items()
        }
        authorised_by[again] = self
        if read:
            _ = response.content
        response.close()
        return again

    # ── httpx ───────────────────────────────────────────────────────────────────────────────

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The authentication flow for ``httpx.Client``."""
        if has_its_own(request):
            yield request
            return
        scopes = self.decided(request)
        if scopes is not None:
            request.headers["Authorization"] = self._header(request, scopes)
            authorised_by[request] = self
        response = yield request
        again = last_of(response)
        whole = can_be_repeated(again)
        refused = self._refused(again, response, whole=whole)
        if refused is not None and whole:
            self._try_with(again, refused, self._another(refused))
            response = yield again
            self._tried(again, refused, response)
            again = last_of(response)
        elif refused is not None:
            self._for_later(refused, self._another(refused))
        if (short := self._short(again, response)) is not None:
            lacking = self._lack(short, None if short.named else peek_httpx(response))
            fresh = None if lacking is None else self._wider(short, lacking)
            if fresh is not None and can_be_repeated(again):
                again.headers["Authorization"] = bearer(fresh)
                yield again

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """The same for ``httpx.AsyncClient``; the event loop is not blocked."""
        if has_its_own(request):
            yield request
            return
        scopes = self.decided(request)
        if scopes is not None:
            request.headers["Authorization"] = await self._header_async(request, scopes)
            authorised_by[request] = self
        response = yield request
        again = last_of(response)
        whole = can_be_repeated(again)
        refused = self._refused(again, response, whole=whole)
        if refused is not None and whole:
            self._try_with(again, refused, await self._another_async(refused))
            response = yield again
            self._tried(again, refused, response)
            again = last_of(response)
        elif refused is not None:
            self._for_later(refused, await self._another_async(refused))
        if (short := self._short(again, response)) is not None:
            body = None if short.named else await peek_httpx_async(response)
            lacking = self._lack(short, body)
            fresh = None if lacking is None else await self._wider_async(short, lacking)
            if fresh is not None and can_be_repeated(again):
                again.headers["Authorization"] = bearer(fresh)
                yield again


@cache
def _httpx_auth(base: Any) -> type:
    return type("Auth", (Auth, base), {})


def _auth_again(
    bound: Bound, hosts: Hosts, public_first: bool, documents: Documents | None = None
) -> Auth:
    """What a pickled :class:`Auth` calls when it is loaded."""
    return Auth(bound, hosts, bound.refusals, documents, public_first=public_first)
