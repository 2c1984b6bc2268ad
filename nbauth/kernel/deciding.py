"""Chooses the token of a request, for any HTTP library, and reacts when the host refuses it."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.errors import InteractionRequired, NbAuthError, NotSignedIn
from nbauth.core.log import place
from nbauth.core.scopes import Scopes
from nbauth.kernel.bound import Bound
from nbauth.kernel.hosts import Hosts, scopes_at
from nbauth.kernel.refusals import Refusals, Where
from nbauth.kernel.storage import is_signed

log = logging.getLogger(__name__)


class Deciding:
    """Chooses tokens for requests, which have ``method``, ``url`` and ``headers``.

    Args:
        bound: the client and account.
        hosts: the scopes of each host's token; see :mod:`nbauth.kernel.hosts`.
        refusals: the hosts that have refused tokens.
        public_first: whether storage is read without a token if getting one would mean asking the
            person.
    """

    def __init__(
        self, bound: Bound, hosts: Hosts, refusals: Refusals, *, public_first: bool = False
    ) -> None:
        self.bound = bound
        self._hosts = dict(hosts)
        self._refusals = refusals
        self._public_first = public_first

    def scopes_for(self, url: str) -> Scopes | None:
        """The scopes of the token that a prepared URL gets, or ``None`` for none."""
        return scopes_at(url, self._hosts)

    def _decided(self, request: Any) -> Scopes | None:
        """The scopes of the token that a request gets; written to the log."""
        url = str(request.url or "")
        scopes = self.scopes_for(url)
        if scopes is not None and is_signed(url):
            scopes = None
        if log.isEnabledFor(logging.DEBUG):
            host = place(url).partition("/")[0]
            log.debug("%s gets %s", host, "no token" if scopes is None else f"a token for {scopes}")
        return scopes

    def _header(self, scopes: Scopes) -> str:
        return f"Bearer {self.bound.cached(scopes) or self.bound.get(scopes).access_token}"

    def _header_unasked(self, request: Any, scopes: Scopes) -> str | None:
        """As :meth:`_header`, but ``None`` if the person would have to be asked.

        This is remembered for a while, so that not every request contacts the provider.
        """
        if (here := self.bound.cached(scopes)) is not None:
            return f"Bearer {here}"
        where = self._where(request, scopes)
        try:
            self._refusals.raise_if_no_other(where, "", self.bound.changes)
            return f"Bearer {self.bound.silent(scopes)}"
        except (InteractionRequired, NotSignedIn) as error:
            if self.bound.key is not None:
                self._refusals.no_other(where, "", self.bound.changes, error)
            return None

    def _refused(self, request: Any, response: Any) -> tuple[Scopes, str] | None:
        """The scopes and the text of the token that a response has refused.

        ``None`` if no token was sent, or if another token would not help.
        """
        if response.status_code != 401:
            return None
        scopes = self.scopes_for(str(request.url or ""))
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scopes is None or scheme != "Bearer":
            return None
        passed_on = self._refusals.pass_on(self._where(request, scopes), text)
        what = "passed on" if passed_on else "getting another one"
        log.debug("%s refused its token; %s", place(request.url).partition("/")[0], what)
        return None if passed_on else (scopes, text)

    def _another(self, request: Any, scopes: Scopes, refused: str) -> str:
        """Return another token than the refused one.

        Raises if there is none. For a while, later calls raise the same error at once.
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
        """Record whether the new token helped, by the response to the repeated request itself."""
        where = self._where(request, scopes)
        if response.request is not request or response.status_code != 401:
            self._refusals.helped(where)
        else:
            self._refusals.pass_on(where, request.headers["Authorization"].partition(" ")[2])

    def _where(self, request: Any, scopes: Scopes) -> Where:
        return urlsplit(str(request.url)).netloc, self.bound.key, scopes.key
