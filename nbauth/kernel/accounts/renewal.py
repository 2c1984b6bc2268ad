"""A token without asking anybody: from the cache, else by the grant that the sign-in left."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from nbauth.core.account import AccountKey
from nbauth.core.errors import (
    REFRESH_REFUSED,
    NbAuthError,
    NotSignedIn,
    PersistenceError,
)
from nbauth.core.interrupts import Flag, apart
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult, Source
from nbauth.kernel.accounts.by_grants import ByGrants, grants_in_turn, nothing_left
from nbauth.kernel.accounts.cache import TokenCache, TokenKey
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.flights import Flights, Turns
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)
HOLD_AFTER_FAILURE = 30.0
"""Seconds for which a token that is still valid is used on after a refresh has failed."""

Renewed = tuple[CachedToken, Source]


class Renewal:
    """Serves tokens from a cache and renews them, one request a token however many ask.

    Args:
        cache: this kernel's.
        engines: the engines in use.
        turns: the accounts'.
    """

    def __init__(self, cache: TokenCache, engines: Engines, turns: Turns) -> None:
        self._cache = cache
        self._by_grants = ByGrants(cache, engines)
        self._turns = turns
        self._flights = Flights()
        self._at_it: dict[Flag, None] = {}

    def silent(
        self,
        client: Client,
        key: AccountKey,
        wanted: Scopes,
        *,
        claims: str | None = None,
        refused: str | None = None,
    ) -> AuthenticationResult:
        """From the cache, or renewed. Raises ``InteractionRequired`` if neither works.

        Args:
            client: by which the provider is asked.
            key: whose token.
            wanted: for which scopes.
            claims: a claims challenge (JSON), which only the provider can answer.
            refused: the text of a token that somebody has refused, which is not given again.
        """
        seen = self._cache.lend(key, wanted)
        wider = seen is not None and seen.asked.key != wanted.key
        # One that is renewed is renewed for all that it serves.
        asked = seen.asked if seen and wider and not client.authority.microsoft else wanted
        try:
            return self._silent(client, key, asked, seen, claims, refused)
        except NbAuthError as error:
            record = self._cache.signed_in.get(key)
            if asked is wanted or seen is None:
                raise
            if seen.grant.usable and error.code != REFRESH_REFUSED:
                raise
            if record is None or not record.grants_for(wanted.key):
                raise  # else another grant than the dead one covers what is wanted
        return self._silent(client, key, wanted, None, claims, refused)

    def _silent(
        self,
        client: Client,
        key: AccountKey,
        wanted: Scopes,
        seen: CachedToken | None,
        claims: str | None,
        refused: str | None,
    ) -> AuthenticationResult:
        signed_in = self._cache.signed_in.get(key)
        if signed_in is None:
            raise NotSignedIn("That account has signed out.")
        token_key = TokenKey(key, wanted.key)
        if seen is not None and claims is None and _serves(seen, refused):
            here = seen.serve(signed_in)
            if here is not None:
                log.debug("%s: from the cache", wanted)
                return here

        # A rotating refresh token is spent once the provider has it: an interrupt that broke the
        # call off would lose the token that replaces it, and with it the sign-in.
        def renew() -> Renewed:
            try:
                return apart(
                    lambda: self._counted(
                        lambda: self._renew(client, token_key, wanted, seen, claims, refused)
                    )
                )
            except NotSignedIn:
                self._cache.changed.emit()  # another kernel's sign-out may be seen only now
                raise
            except PersistenceError:  # what other kernels do, or have done, is not known
                cached = self._cache.tokens.get(token_key)
                if claims or cached is None or not cached.valid or not _serves(cached, refused):
                    raise
                cached.hold(HOLD_AFTER_FAILURE)
                return cached, "cache"

        cached, source = self._flights.run((token_key, claims, refused), renew)
        present = self._cache.signed_in.get(key, signed_in)
        cached.used = True
        return cached.result(present, source)

    def finish(self, seconds: float) -> None:
        """Wait for refreshes under way: the tokens that they bring replace those that are kept.

        One whose caller was interrupted goes on, and counts.
        """
        end = time.monotonic() + seconds
        for ended in list(self._at_it):
            ended.wait(max(0.0, end - time.monotonic()))

    def _counted(self, renew: Callable[[], Renewed]) -> Renewed:
        ended = Flag()
        self._at_it[ended] = None
        try:
            return renew()
        finally:
            self._at_it.pop(ended, None)
            ended.set()

    def forked(self) -> None:
        """In a forked child: nothing is under way."""
        self._flights, self._at_it = Flights(), {}

    def _renew(
        self,
        client: Client,
        token_key: TokenKey,
        wanted: Scopes,
        seen: CachedToken | None,
        claims: str | None,
        refused: str | None,
    ) -> Renewed:
        key = token_key.account
        with self._alone(key) as signed_in:
            cached = self._cache.tokens.get(token_key)
            if claims is None and cached is not None and _serves(cached, refused):
                if cached is not seen and cached.fresh:
                    log.debug("%s: renewed by another meanwhile", wanted)
                    return cached, "refresh"  # another refresh ended while this one waited
                usable = cached if cached.valid else None
            else:
                usable = None
            grants = grants_in_turn(signed_in, cached, wanted)
            if not grants:
                if usable is not None:
                    log.debug("%s: from the cache, as long as it is valid", wanted)
                    return usable, "cache"
                log.debug("%s: nothing is left to renew it with", wanted)
                raise nothing_left(signed_in, wanted)
            try:
                grant, response = self._by_grants.renew(grants, client, signed_in, wanted, claims)
            except NotSignedIn:
                raise
            except NbAuthError as error:
                if usable is None:
                    raise
                log.debug("%s: held on to while it is valid (%s)", wanted, word(error.code))
                usable.hold(HOLD_AFTER_FAILURE)
                return usable, "cache"
            fresh = self._cache.refreshed(key, response, wanted, grant, client)
            if fresh is not None and not self._by_grants.saved(key):
                fresh = None
        log.debug("%s: %s", wanted, "signed out meanwhile" if fresh is None else "renewed")
        if fresh is None:
            raise self._by_grants.signed_out(client, grant if response.refresh_token else None)
        self._cache.renewed.emit()
        return fresh, "refresh"

    @contextlib.contextmanager
    def _alone(self, key: AccountKey) -> Iterator[SignedIn]:
        """Hold off other threads and the kernels that share the account; gives it as they left it.

        Raises ``NotSignedIn`` if it has been signed out meanwhile.
        """
        with self._turns.of(key), self._turns.held_by_me(key):
            signed_in = self._cache.signed_in.get(key)
            keeper = signed_in.keeper if signed_in is not None else None
            with contextlib.nullcontext() if keeper is None else keeper.refreshing(key):
                present = self._cache.signed_in.get(key)
                if present is None:
                    raise NotSignedIn("That account has signed out.")
                yield present


def _serves(cached: CachedToken, refused: str | None) -> bool:
    return cached.response.access_token != refused
