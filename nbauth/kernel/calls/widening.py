"""Reacts when a host says that a token has too few scopes (RFC 6750 §3.1, 403).

If the host names scopes that its entry covers, nbauth gets a token that has them too: without a
person if there is a consent, else by a sign-in. In all other cases the caller gets the response,
and one line says which scopes the token has and which it may lack.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.core.log import place as as_place
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.calls.missing import (
    Documented,
    Lack,
    RefusedPart,
    Short,
    as_named,
    is_covered,
    is_documented,
    is_granted,
    joined,
    lack,
    usable,
)
from nbauth.kernel.calls.missing_lines import GRANTED, NO_PERSON, uncovered
from nbauth.kernel.calls.offers import Attempt
from nbauth.kernel.calls.telling import Telling
from nbauth.oauth.challenge import requirement
from nbauth.oauth.missing_scopes import named_in, says_insufficient

log = logging.getLogger(__name__)


class Widening(Telling):
    """Gets tokens with the scopes that hosts say are missing."""

    # ── the response ────────────────────────────────────────────────────────────────────────

    def _short(self, request: Any, response: Any) -> Short | None:
        """A response that says that the token of its request is not enough."""
        status = response.status_code
        if status not in (401, 403):
            return None
        header = response.headers.get("WWW-Authenticate", "")
        if status == 401 and not says_insufficient(header):
            return None
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        url = str(request.url or "")
        return self._short_at(request.method, url, SecretStr(text), header, status)

    def _short_at(
        self, method: str, url: str, text: SecretStr, header: str, status: int
    ) -> Short | None:
        scopes = self.scopes_for(url)
        if scopes is None:
            return None
        host = as_place(url).partition("/")[0]
        if requirement(header, host, microsoft=self.bound.client.authority.microsoft) is not None:
            return None
        sent = self._sent(url, scopes)
        place = self._place(url, scopes)
        reasons: list[str] | None = None if self.documents is None else []
        return Short(method, url, host, place, sent, text, header, status, reasons)

    def _lack(self, short: Short, body: bytes | None) -> Lack | None:
        """The missing scopes, if there may be a token that has them; else a line is shown."""
        client = self.bound.client
        token = self._token_of(short)
        known = self._documented(short, body)
        named = named_in(short.header, body, microsoft=client.authority.microsoft)
        named = named or (known and as_named(known, application=self.bound.is_service))
        possible = () if named is None else usable(client, short.url, named, self._hosts)
        if named is None or not possible:
            log.debug("%s refused its token and named no scope that can be used", short.host)
            self._tell(short, token, None, "")
            return None
        best = possible[0]
        if named.application or self.bound.is_service:
            self._tell(short, token, best, NO_PERSON)
            return None
        for scopes in possible:
            if is_granted(client, token, scopes, with_more=known is not None):
                self._tell(short, token, scopes, GRANTED)
                return None
        within = [one for one in possible if self._may_request(short, one, known)]
        wanted = lack(client, short.scopes, within[0], token) if within else None
        if wanted is None:
            log.debug("%s named a scope that its entry does not cover", short.host)
            self._tell(short, token, best, uncovered(short.host))
        return wanted

    def _documented(self, short: Short, body: bytes | None) -> Documented | None:
        if self.documents is None or short.status != 403:
            return None
        return self.documents(short.method, short.url, body)

    def _may_request(self, short: Short, scopes: Scopes, known: Documented | None) -> bool:
        """Whether the entry of the host covers scopes.

        Without an entry in the settings, a host that the user has given gets documented scopes:
        it cannot choose them.
        """
        client = self.bound.client
        if is_covered(client, short.url, scopes, self._hosts):
            return True
        return known is not None and is_documented(client, short.url, scopes, known)

    def widen(self, refused: Sequence[RefusedPart], text: SecretStr) -> list[str | None]:
        """Get a token for the refused requests that one request contained, with one consent.

        Returns for each ``None`` if it can be sent again, else why not.

        Args:
            text: of the token of that request.
        """
        why: list[str | None] = ["" for _ in refused]
        lacking: dict[int, tuple[Short, Lack]] = {}
        for at, one in enumerate(refused):
            short = self._short_at(one.method, one.url, text, "", one.status)
            if short is None:
                continue
            if (found := self._lack(short, one.body)) is not None:
                lacking[at] = short, found
            why[at] = short.reasons[-1] if short.reasons else ""
        if not lacking:
            return why
        short, first = next(iter(lacking.values()))
        together = joined(self.bound.client, first, [found for _, found in lacking.values()])
        fresh = self._wider(short, together)
        for at in lacking:
            why[at] = None if fresh is not None else (short.reasons or [""])[-1]
        return why

    def _wider(self, short: Short, lacking: Lack) -> SecretStr | None:
        """The text of a token with the missing scopes; ``None`` if there is none."""
        if (here := self._fetched(short, lacking)) is not None:
            return here
        attempt = self._attempt(short, lacking)
        if attempt is None:
            return None
        with self._refusals.offers.asking(attempt, short.place, lacking.missing):
            try:
                result = self.bound.get_wider(
                    lacking.wider, short.text, short.host, attempt.joins, attempt.since
                )
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
        with self._refusals.offers.asking(attempt, short.place, lacking.missing):
            try:
                result = await self.bound.get_wider_async(
                    lacking.wider, short.text, short.host, attempt.joins, attempt.since
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

    def _attempt(self, short: Short, lacking: Lack) -> Attempt | None:
        """How to get the token now; ``None`` if it was tried a moment ago."""
        offers, asking = self._refusals.offers, self.bound.may_ask
        place, missing = short.place, lacking.missing
        since = offers.since(place)
        if offers.is_in_vain(place, missing, self.bound.changes, asking=asking):
            self._tell_login(short, lacking)
            return None
        asks = asking and offers.may_offer(place, missing, self.bound.changes)
        # A thread that can ask nobody joins a sign-in in progress.
        joins = asks or (self.bound.interactive and not asking)
        return Attempt(asking, asks, joins, since)

    def _not_given(self, short: Short, lacking: Lack, attempt: Attempt, error: NbAuthError) -> None:
        log.debug("%s: no token with more scopes (%s)", short.host, word(error.code))
        offers, changes = self._refusals.offers, self.bound.changes
        if attempt.asks and isinstance(error, SignInError):
            offers.offered(short.place, lacking.missing, changes, given=False)
        elif self._refusals.keeps_errors:
            offers.in_vain(short.place, lacking.missing, changes, asking=attempt.asking)
        self._tell_login(short, lacking)

    def _given(
        self, short: Short, lacking: Lack, attempt: Attempt, result: AuthenticationResult
    ) -> SecretStr | None:
        offers, missing = self._refusals.offers, lacking.missing
        if attempt.asks:
            offers.offered(short.place, missing, self.bound.changes, given=True)
        for asking in (True, False):  # if the host refuses it too, another one is of no use
            offers.in_vain(short.place, missing, self.bound.changes, asking=asking)
        if not self._has(result, lacking):
            self._tell_login(short, lacking)
            return None
        offers.widen(short.place, lacking.wider)
        log.debug("%s gets a token with more scopes", short.host)
        return result.access_token
