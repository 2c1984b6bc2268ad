"""Chooses the token of a request, for any HTTP library, and reacts when the host refuses it."""

from __future__ import annotations

import hashlib
import logging
from typing import Any, NamedTuple

from nbauth.core.errors import InteractionRequired, NbAuthError, NotSignedIn
from nbauth.core.log import place
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.hosts import Hosts, named, place_of
from nbauth.kernel.calls.missing import Documents
from nbauth.kernel.calls.refusals import Refusals, Where
from nbauth.kernel.calls.sent import bearer
from nbauth.kernel.calls.storage import is_signed
from nbauth.kernel.calls.widening import Widening
from nbauth.oauth.challenge import Requirement, requirement
from nbauth.oauth.missing_scopes import says_insufficient

log = logging.getLogger(__name__)


class Refused(NamedTuple):
    """A token that a host has refused, and what a new one has to fulfil."""

    scopes: Scopes
    text: SecretStr
    where: Where
    required: Requirement | None
    status: int


class Deciding(Widening):
    """Chooses tokens for requests, which have ``method``, ``url`` and ``headers``.

    Args:
        bound: the client and account.
        hosts: the scopes of each host's token; see :mod:`nbauth.kernel.calls.hosts`.
        refusals: the hosts that have refused tokens.
        documents: which scopes a refused request needs; see ``Widened``.
        public_first: whether storage is read without a token if getting one would mean asking the
            person.
    """

    def __init__(
        self,
        bound: Bound,
        hosts: Hosts,
        refusals: Refusals,
        documents: Documents | None = None,
        *,
        public_first: bool = False,
    ) -> None:
        super().__init__(bound, hosts, refusals, documents)
        self._public_first = public_first

    @property
    def hosts(self) -> list[str]:
        """The hosts that get a token. One that begins with a dot stands for the names below it."""
        return [host for host, scopes in self._hosts.items() if scopes is not None]

    @property
    def digest(self) -> str:
        """Identifies client, account and hosts, for displays and caches of objects."""
        text = repr((self.bound.digest, named(self._hosts)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def decided(self, request: Any) -> Scopes | None:
        """The scopes of the token that a request gets; written to the log."""
        url = str(request.url or "")
        scopes = self.scopes_for(url)
        if scopes is not None and is_signed(url):
            scopes = None
        if log.isEnabledFor(logging.DEBUG):
            host = place(url).partition("/")[0]
            log.debug("%s gets %s", host, "no token" if scopes is None else f"a token for {scopes}")
        return scopes

    def _header_unasked(self, request: Any, scopes: Scopes) -> str | None:
        """As :meth:`_header`, but ``None`` if the person would have to be asked.

        This is remembered for a while, so that not every request contacts the provider.
        """
        if (here := self.bound.cached(scopes)) is not None:
            return bearer(here)
        where = self._where(request, scopes)
        try:
            self._refusals.raise_if_no_other(where, "", self.bound.changes, asking=False)
            return bearer(self.bound.silent(scopes))
        except (InteractionRequired, NotSignedIn) as error:
            if self.bound.key is not None:
                self._refusals.no_other(where, "", self.bound.changes, error, asking=False)
            return None

    def _refused(self, request: Any, response: Any, *, whole: bool) -> Refused | None:
        """The token that a response has refused.

        ``None`` if no token was sent, or if another token would not help. ``whole``: whether the
        request can be sent again. If not, a new token is of use only if the host has named what it
        requires: then the next request has it.
        """
        if response.status_code not in (401, 403):
            return None
        scopes = self.scopes_for(str(request.url or ""))
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scopes is None or scheme != "Bearer":
            return None
        host = place(str(request.url)).partition("/")[0]
        header = response.headers.get("WWW-Authenticate", "")
        microsoft = bool(header) and self.bound.client.authority.microsoft
        required = requirement(header, host, microsoft=microsoft)
        if required is None and (response.status_code == 403 or says_insufficient(header)):
            return None  # another token with the same scopes would not help
        scopes = self._sent(str(request.url), scopes)
        where = self._where(request, scopes, named=required is not None)
        if required is None and not whole:
            return None
        passed_on = self._refusals.pass_on(where, text)
        what = "passed on" if passed_on else "getting another one"
        named = "" if required is None else " and requires a new sign-in"
        log.debug("%s refused its token%s; %s", host, named, what)
        status = response.status_code
        return None if passed_on else Refused(scopes, SecretStr(text), where, required, status)

    def _another(self, refused: Refused) -> str:
        """Return another token than the refused one.

        Raises if there is none. For a while, later calls raise the same error at once.
        """
        scopes, text, where, required, _ = refused
        asking = self.bound.may_ask
        self._refusals.raise_if_no_other(where, text, self.bound.changes, asking=asking)
        try:
            return self.bound.get(scopes, text, required).access_token
        except NbAuthError as error:
            self._refusals.no_other(where, text, self.bound.changes, error, asking=asking)
            raise

    async def _another_async(self, refused: Refused) -> str:
        scopes, text, where, required, _ = refused
        asking = self.bound.may_ask
        self._refusals.raise_if_no_other(where, text, self.bound.changes, asking=asking)
        try:
            return (await self.bound.get_async(scopes, text, required)).access_token
        except NbAuthError as error:
            self._refusals.no_other(where, text, self.bound.changes, error, asking=asking)
            raise

    def _try_with(self, request: Any, refused: Refused, fresh: str) -> None:
        request.headers["Authorization"] = bearer(fresh)
        self._refusals.trying(refused.where, str(fresh))

    def _for_later(self, refused: Refused, fresh: str) -> None:
        """Note that a new token was fetched, though the request can't be sent again."""
        self._refusals.trying(refused.where, str(fresh))

    def _tried(self, request: Any, refused: Refused, response: Any) -> None:
        """Record whether the new token helped, by the response to the repeated request itself."""
        if response.request is not request or response.status_code != refused.status:
            self._refusals.helped(refused.where)
        else:
            sent = request.headers["Authorization"].partition(" ")[2]
            self._refusals.pass_on(refused.where, sent)

    def _where(self, request: Any, scopes: Scopes, *, named: bool = False) -> Where:
        return place_of(str(request.url)), self.bound.key, scopes.key, named
