"""The token of a request: that of the host's entry, or one with more scopes that the host needs."""

from __future__ import annotations

import logging
from typing import Any

from nbauth.core.errors import NbAuthError
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.hosts import Hosts, place_of, scopes_at
from nbauth.kernel.calls.missing import Documents
from nbauth.kernel.calls.offers import Place
from nbauth.kernel.calls.refusals import Refusals
from nbauth.kernel.calls.sent import bearer

log = logging.getLogger(__name__)


class Widened:
    """Chooses the token of a request.

    Args:
        bound: the client and account.
        hosts: the scopes of each host's token; see :mod:`nbauth.kernel.calls.hosts`.
        refusals: the hosts that have refused tokens.
        documents: which scopes a refused request needs, for an API of which that is documented. Its
            caller reports refusals, so nothing is shown.
    """

    def __init__(
        self,
        bound: Bound,
        hosts: Hosts,
        refusals: Refusals,
        documents: Documents | None = None,
    ) -> None:
        self.bound = bound
        self.documents = documents
        self._hosts = dict(hosts)
        self._refusals = refusals

    def scopes_for(self, url: str) -> Scopes | None:
        """The scopes of the token that a prepared URL gets, or ``None`` for none."""
        return scopes_at(url, self._hosts)

    def _place(self, url: str, scopes: Scopes) -> Place:
        return place_of(url), self.bound.key, scopes.key

    def _sent(self, url: str, scopes: Scopes) -> Scopes:
        """The scopes of the token that a request got."""
        offers = self._refusals.offers
        return offers.scopes(self._place(url, scopes), scopes) if offers.widened else scopes

    def _header(self, request: Any, scopes: Scopes) -> str:
        wider = self._sent(str(request.url), scopes)
        if wider is not scopes:
            try:
                return bearer(self.bound.cached(wider) or self.bound.silent(wider))
            except NbAuthError as error:
                self._narrow(request, scopes, error)
        return bearer(self.bound.cached(scopes) or self.bound.get(scopes).access_token)

    async def _header_async(self, request: Any, scopes: Scopes) -> str:
        wider = self._sent(str(request.url), scopes)
        if wider is not scopes:
            try:
                return bearer(self.bound.cached(wider) or await self.bound.silent_async(wider))
            except NbAuthError as error:
                self._narrow(request, scopes, error)
        return bearer((await self.bound.get_async(scopes)).access_token)

    def _narrow(self, request: Any, scopes: Scopes, error: NbAuthError) -> None:
        log.debug("%s: no token with more scopes any more (%s)", scopes, word(error.code))
        self._refusals.offers.narrow(self._place(str(request.url), scopes))
