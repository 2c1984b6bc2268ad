"""A requests session that adds tokens to its calls; see :mod:`.authorise`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.sent import authorised_by, brings_its_own
from nbauth.oauth.network import VerifiedSession


class AuthorisedSession(VerifiedSession):
    """A ``requests.Session`` that adds tokens to calls to listed hosts, redirects included.

    ``verify`` and ``proxies`` come from the settings, which override the environment's CA bundles.
    """

    def __init__(
        self, auth: Auth, verify: bool | str | None, proxies: Mapping[str, str] | None
    ) -> None:
        super().__init__(verify, proxies)
        self.auth = self._made_with = auth.for_session()

    def __repr__(self) -> str:
        auth = self._made_with
        return f"<nbauth.session for {', '.join(auth.hosts)} {auth.digest}>"

    def __dask_tokenize__(self) -> object:
        """What Dask tells sessions apart by: the pickles of one differ from process to process."""
        state = self.__reduce__()[2]
        state["headers"] = sorted(self.headers.items())
        state["cookies"] = sorted((c.domain, c.path, c.name, str(c.value)) for c in self.cookies)
        state["adapters"] = [(at, type(one).__qualname__) for at, one in self.adapters.items()]
        return "nbauth.session", self._made_with, state

    @property
    def own_auth(self) -> Auth:
        """The ``auth`` that it was made with, whatever the user has set since."""
        return self._made_with

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """At a redirect, choose the token again; other kinds of auth are left to requests.

        An ``Authorization`` header that the caller has set is not sent to another host.
        """
        auth = authorised_by.get(response.request)
        if auth is None:
            super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
            return
        moved = self.should_strip_auth(response.request.url, prepared_request.url)  # type: ignore[no-untyped-call]
        if moved or response.request not in brings_its_own:
            prepared_request.headers.pop("Authorization", None)
        auth(prepared_request)

    def __reduce__(self) -> Any:
        """Its ``auth`` and what the user has set. Settings are read again."""
        state = {name: getattr(self, name) for name in _SET_BY_USERS}
        fresh = session_with(self._made_with)
        for name in _FROM_SETTINGS:
            if getattr(self, name) != getattr(fresh, name):
                state[name] = getattr(self, name)
        return session_with, (self._made_with,), state


_SET_BY_USERS = (
    "auth", "headers", "cookies", "hooks", "params", "adapters", "stream", "max_redirects",
)  # fmt: skip
_FROM_SETTINGS = ("verify", "proxies", "cert", "trust_env")
"""What the settings determine, unless the user has changed it."""


def session_with(auth: Auth) -> AuthorisedSession:
    """A session that uses this ``auth``, with the proxies and certificates of its client."""
    settings = auth.bound.client.settings
    return AuthorisedSession(auth, settings.verify, settings.proxies)
