"""Reacts when a host says that a token has too few scopes (RFC 6750 §3.1, 403).

If the host names scopes that its entry covers, nbauth gets a token that has them too: without a
person if there is a consent, else by a sign-in. In all other cases the caller gets the response,
and one line says which scopes the token has and which it may lack.
"""

from __future__ import annotations

import logging
from typing import Any

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.core.log import place as as_place
from nbauth.core.log import word
from nbauth.core.magic_word import login_line
from nbauth.core.person import say_to
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.hosts import Hosts, place_of, scopes_at
from nbauth.kernel.calls.missing import Lack, Short, is_covered, is_granted, lack, usable
from nbauth.kernel.calls.missing_lines import GRANTED, NO_PERSON, line_for, uncovered
from nbauth.kernel.calls.offers import Attempt, Place
from nbauth.kernel.calls.refusals import Refusals
from nbauth.oauth.challenge import requirement
from nbauth.oauth.missing_scopes import named_in, says_insufficient

log = logging.getLogger(__name__)


class Widening:
    """Gets tokens with the scopes that hosts say are missing.

    Args:
        bound: the client and account.
        hosts: the scopes of each host's token; see :mod:`nbauth.kernel.calls.hosts`.
        refusals: the hosts that have refused tokens.
    """

    def __init__(self, bound: Bound, hosts: Hosts, refusals: Refusals) -> None:
        self.bound = bound
        self._hosts = dict(hosts)
        self._refusals = refusals

    def scopes_for(self, url: str) -> Scopes | None:
        """The scopes of the token that a prepared URL gets, or ``None`` for none."""
        return scopes_at(url, self._hosts)

    def _place(self, request: Any, scopes: Scopes) -> Place:
        return place_of(str(request.url)), self.bound.key, scopes.key

    # ── the token of a request ──────────────────────────────────────────────────────────────

    def _sent(self, request: Any, scopes: Scopes) -> Scopes:
        """The scopes of the token that a request got."""
        offers = self._refusals.offers
        return offers.scopes(self._place(request, scopes), scopes) if offers.widened else scopes

    def _header(self, request: Any, scopes: Scopes) -> str:
        wider = self._sent(request, scopes)
        if wider is not scopes:
            try:
                return f"Bearer {self.bound.cached(wider) or self.bound.silent(wider)}"
            except NbAuthError as error:
                self._narrow(request, scopes, error)
        return f"Bearer {self.bound.cached(scopes) or self.bound.get(scopes).access_token}"

    async def _header_async(self, request: Any, scopes: Scopes) -> str:
        wider = self._sent(request, scopes)
        if wider is not scopes:
            try:
                return f"Bearer {self.bound.cached(wider) or await self.bound.silent_async(wider)}"
            except NbAuthError as error:
                self._narrow(request, scopes, error)
        return f"Bearer {(await self.bound.get_async(scopes)).access_token}"

    def _narrow(self, request: Any, scopes: Scopes, error: NbAuthError) -> None:
        log.debug("%s: no token with more scopes any more (%s)", scopes, word(error.code))
        self._refusals.offers.narrow(self._place(request, scopes))

    # ── the response ────────────────────────────────────────────────────────────────────────

    def _short(self, request: Any, response: Any) -> Short | None:
        """A response that says that the token of its request is not enough."""
        if response.status_code not in (401, 403):
            return None
        header = response.headers.get("WWW-Authenticate", "")
        if response.status_code == 401 and not says_insufficient(header):
            return None
        url = str(request.url or "")
        scopes = self.scopes_for(url)
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scopes is None or scheme != "Bearer":
            return None
        host = as_place(url).partition("/")[0]
        if requirement(header, host, microsoft=self.bound.client.authority.microsoft) is not None:
            return None
        sent = self._sent(request, scopes)
        place = self._place(request, scopes)
        return Short(url, host, place, sent, SecretStr(text), header, response.status_code)

    def _lack(self, short: Short, body: bytes | None) -> Lack | None:
        """The missing scopes, if there may be a token that has them; else a line is shown."""
        client = self.bound.client
        token = self._token_of(short)
        named = named_in(short.header, body, microsoft=client.authority.microsoft)
        possible = () if named is None else usable(client, short.url, named)
        if named is None or not possible:
            log.debug("%s refused its token and named no scope that can be used", short.host)
            self._tell(short, token, None, "")
            return None
        best = possible[0]
        if named.application or self.bound.is_service:
            self._tell(short, token, best, NO_PERSON)
            return None
        for scopes in possible:
            if is_granted(client, token, scopes):
                self._tell(short, token, scopes, GRANTED)
                return None
        within = [scopes for scopes in possible if is_covered(client, short.url, scopes)]
        wanted = lack(client, short.scopes, within[0]) if within else None
        if wanted is None:
            log.debug("%s named a scope that its entry does not cover", short.host)
            self._tell(short, token, best, uncovered(short.host))
        return wanted

    def _wider(self, short: Short, lacking: Lack) -> SecretStr | None:
        """The text of a token with the missing scopes; ``None`` if there is none."""
        if (here := self._fetched(short, lacking)) is not None:
            return here
        attempt = self._attempt(short, lacking)
        if attempt is None:
            return None
        try:
            with self._refusals.offers.asking(attempt, short.place, lacking.missing):
                result = self.bound.get_wider(lacking.wider, short.text, short.host, attempt.joins)
        except NbAuthError as error:
            self._not_given(short, lacking, attempt, error)
            return None
        return self._given(short, lacking, attempt, result)

    async def _wider_async(self, short: Short, lacking: Lack) -> SecretStr | None:
        """The same, without blocking the event loop."""
        if (here := self._fetched(short, lacking)) is not None:
            return here
        attempt = self._attempt(short, lacking)
        if attempt is None:
            return None
        try:
            with self._refusals.offers.asking(attempt, short.place, lacking.missing):
                result = await self.bound.get_wider_async(
                    lacking.wider, short.text, short.host, attempt.joins
                )
        except NbAuthError as error:
            self._not_given(short, lacking, attempt, error)
            return None
        return self._given(short, lacking, attempt, result)

    def _fetched(self, short: Short, lacking: Lack) -> SecretStr | None:
        """The token with more scopes, if another request has got it in the meantime."""
        here = self.bound.present(lacking.wider)
        if here is None or here.access_token == short.text or not self._has(here, lacking):
            return None
        self._refusals.offers.widen(short.place, lacking.wider)
        return here.access_token

    def _has(self, token: AuthenticationResult, lacking: Lack) -> bool:
        """Whether the provider granted what was missing."""
        client = self.bound.client
        # Entra may spell scopes differently than they were requested.
        granted = is_granted(client, token, client.just(lacking.missing))
        return client.authority.microsoft or granted

    def _token_of(self, short: Short) -> AuthenticationResult | None:
        """The token that was refused, with its details, if it is still in memory."""
        present = self.bound.present(short.scopes)
        return present if present is not None and present.access_token == short.text else None

    def _attempt(self, short: Short, lacking: Lack) -> Attempt | None:
        """How to get the token now; ``None`` if it was tried a moment ago."""
        offers, asking = self._refusals.offers, self.bound.may_ask
        place, missing = short.place, lacking.missing
        if offers.is_in_vain(place, missing, self.bound.changes, asking=asking):
            self._tell_login(short, lacking)
            return None
        asks = asking and offers.may_offer(place, missing)
        # A thread that can ask nobody joins a sign-in in progress.
        return Attempt(asking, asks, joins=asks or (self.bound.interactive and not asking))

    def _not_given(self, short: Short, lacking: Lack, attempt: Attempt, error: NbAuthError) -> None:
        log.debug("%s: no token with more scopes (%s)", short.host, word(error.code))
        offers, changes = self._refusals.offers, self.bound.changes
        if attempt.asks and isinstance(error, SignInError):
            offers.offered(short.place, lacking.missing, given=False)
        else:
            offers.in_vain(short.place, lacking.missing, changes, asking=attempt.asking)
        self._tell_login(short, lacking)

    def _given(
        self, short: Short, lacking: Lack, attempt: Attempt, result: AuthenticationResult
    ) -> SecretStr | None:
        offers, missing = self._refusals.offers, lacking.missing
        if attempt.asks:
            offers.offered(short.place, missing, given=True)
        for asking in (True, False):  # if the host refuses it too, another one is of no use
            offers.in_vain(short.place, missing, self.bound.changes, asking=asking)
        if not self._has(result, lacking):
            self._tell_login(short, lacking)
            return None
        offers.widen(short.place, lacking.wider)
        log.debug("%s gets a token with more scopes", short.host)
        return result.access_token

    # ── what the person is told ─────────────────────────────────────────────────────────────

    def _tell_login(self, short: Short, lacking: Lack) -> None:
        client, words = self.bound.client, lacking.missing
        if client.authority.microsoft:
            graph = f"{client.authority.graph}/"
            words = tuple(word.removeprefix(graph) for word in words)
        else:  # a sign-in there gives a token for its own scopes only
            words = lacking.wider.resource_scopes
        line = login_line(client.settings.profile, self.bound.named, words)
        token = self._token_of(short)
        missing = client.just(lacking.missing)
        self._tell(short, token, missing, f"Run {line}, then this cell again.")

    def _tell(
        self, short: Short, token: AuthenticationResult | None, missing: Scopes | None, do: str
    ) -> None:
        """Show one line, once in a minute for the same host, account and scopes."""
        named = None if missing is None else missing.key
        if self._refusals.offers.is_news((short.place[:2], named)):
            has = short.scopes if token is None else token.scopes
            say_to(self.bound.person, line_for(short, has, missing, do))
