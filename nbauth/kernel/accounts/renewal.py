"""Gets a token without asking the person: from the cache, else with a grant of the sign-in."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from nbauth.core.account import AccountKey
from nbauth.core.errors import (
    REFRESH_REFUSED,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    PersistenceError,
)
from nbauth.core.interrupts import Flag, apart
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult, Source
from nbauth.kernel.accounts.by_grants import ByGrants, grants_to_try, no_usable_grant
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.flights import AccountLocks, Flights
from nbauth.kernel.accounts.refresh_errors import needs_sign_in
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.token_table import TokenKey
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)
FRESH_AFTER_FAILURE = 30.0
"""Seconds for which a token that is still valid is used after a failed refresh."""

Renewed = tuple[CachedToken, Source]


class Renewal:
    """Gives tokens from a cache and renews them, with one request for all simultaneous callers.

    Args:
        cache: of this kernel.
        engines: the engines in use.
        locks: the locks of the accounts.
    """

    def __init__(self, cache: TokenCache, engines: Engines, locks: AccountLocks) -> None:
        self._cache = cache
        self._by_grants = ByGrants(cache, engines)
        self._account_locks = locks
        self._flights = Flights()
        self._in_progress: dict[Flag, None] = {}
        self._in_vain: tuple[object, float, str, str] = (None, 0.0, "", "")

    def silent(
        self,
        client: Client,
        key: AccountKey,
        wanted: Scopes,
        *,
        required: Requirement | None = None,
        refused: str | None = None,
    ) -> AuthenticationResult:
        """Return a token, cached or renewed. Raises ``InteractionRequired`` if neither is possible.

        Args:
            client: the client that makes the request.
            key: the account.
            wanted: the scopes.
            required: what the new token has to fulfil; only the provider knows whether it does.
            refused: the text of a token that a host has refused; it is not returned again.
        """
        seen = self._cache.token_for(key, wanted)
        wider = seen is not None and seen.asked.key != wanted.key
        # A wider token is renewed with its own scopes, for all the requests that it serves.
        asked = seen.asked if seen and wider and not client.authority.microsoft else wanted
        try:
            return self._silent(client, key, asked, seen, required, refused)
        except NbAuthError as error:
            record = self._cache.signed_in.get(key)
            if asked is wanted or seen is None:
                raise
            if seen.grant.usable and error.code != REFRESH_REFUSED:
                raise
            if record is None or not record.grants_for(wanted.key):
                raise  # otherwise another, usable grant covers the scopes
        return self._silent(client, key, wanted, None, required, refused)

    def _silent(
        self,
        client: Client,
        key: AccountKey,
        wanted: Scopes,
        seen: CachedToken | None,
        required: Requirement | None,
        refused: str | None,
    ) -> AuthenticationResult:
        signed_in = self._cache.signed_in.get(key)
        if signed_in is None:
            raise NotSignedIn("That account has been signed out.")
        token_key = TokenKey(key, wanted.key)
        if seen is not None and seen.may_serve(refused, required):
            here = seen.serve(signed_in)
            if here is not None:
                log.debug("%s: from the cache", wanted)
                return here
        elsewhere = any(grant.elsewhere for grant in signed_in.grants)
        if required is not None and not required.renewable and not elsewhere:
            raise needs_sign_in(required, signed_in.account)

        # A rotating refresh token is used up once the provider has it. If an interrupt aborted the
        # request, its replacement and with it the sign-in would be lost.
        def renew() -> Renewed:
            try:
                return apart(
                    lambda: self._tracked(
                        lambda: self._renew(client, token_key, wanted, seen, required, refused)
                    )
                )
            except NotSignedIn:
                self._cache.changed.emit()  # another kernel may have signed it out
                raise
            except PersistenceError:  # other kernels' changes can't be read
                cached = self._cache.tokens.get(token_key)
                if required or cached is None or not cached.valid:
                    raise
                if not cached.may_serve(refused, None):
                    raise
                cached.treat_as_fresh(FRESH_AFTER_FAILURE)
                return cached, "cache"

        self._raise_if_in_vain(token_key, required, refused)
        try:
            cached, source = self._flights.run((token_key, required, refused), renew)
        except InteractionRequired as error:
            if required is not None and not elsewhere:
                why = self._why(token_key, required, refused)
                self._in_vain = why, time.monotonic() + FRESH_AFTER_FAILURE, str(error), error.code
            raise
        present = self._cache.signed_in.get(key, signed_in)
        cached.used = True
        return cached.result(present, source)

    def _raise_if_in_vain(
        self, token_key: TokenKey, required: Requirement | None, refused: str | None
    ) -> None:
        """Raise if a refresh for the same requirement has just failed.

        The responses to parallel calls arrive one after the other, and each would contact the
        provider. After the next change of the account, a refresh is tried again.
        """
        why, until, text, code = self._in_vain
        if required is None or refused is None or time.monotonic() > until:
            return
        if why == self._why(token_key, required, refused):
            log.debug("the last refresh did not fulfil what is required")
            raise InteractionRequired(text, code=code)

    def _why(self, token_key: TokenKey, required: Requirement, refused: str | None) -> object:
        return token_key, required, hash(refused), self._cache.changes(token_key.account)

    def finish(self, seconds: float) -> None:
        """Wait for refreshes in progress: their results replace the stored refresh tokens.

        A refresh whose caller was interrupted still counts.
        """
        end = time.monotonic() + seconds
        for ended in list(self._in_progress):
            ended.wait(max(0.0, end - time.monotonic()))

    def _tracked(self, renew: Callable[[], Renewed]) -> Renewed:
        ended = Flag()
        self._in_progress[ended] = None
        try:
            return renew()
        finally:
            self._in_progress.pop(ended, None)
            ended.set()

    def forked(self) -> None:
        """In a forked child: nothing is in progress."""
        self._flights, self._in_progress = Flights(), {}

    def _renew(
        self,
        client: Client,
        token_key: TokenKey,
        wanted: Scopes,
        seen: CachedToken | None,
        required: Requirement | None,
        refused: str | None,
    ) -> Renewed:
        key = token_key.account
        with self._exclusive(key) as signed_in:
            cached = self._cache.tokens.get(token_key)
            if cached is not None and cached.may_serve(refused, required):
                if cached is not seen and cached.fresh:
                    log.debug("%s: renewed by another thread or kernel meanwhile", wanted)
                    return cached, "refresh"  # another refresh ended while this one waited
                usable = cached if cached.valid else None
            else:
                usable = None
            if usable is None and refused is None and required is None:
                usable = self._cache.undeclared(key, wanted)
            grants = grants_to_try(signed_in, cached, wanted)
            if not grants:
                if usable is not None:
                    log.debug("%s: from the cache, while it is valid", wanted)
                    self._cache.instead(token_key, usable)
                    return usable, "cache"
                log.debug("%s: there is no grant to renew it with", wanted)
                raise no_usable_grant(signed_in, wanted)
            try:
                grant, response = self._by_grants.renew(
                    grants, client, signed_in, wanted, required, refused
                )
            except NotSignedIn:
                raise
            except NbAuthError as error:
                if usable is None:
                    raise
                log.debug("%s: used while it is valid (%s)", wanted, word(error.code))
                usable.treat_as_fresh(FRESH_AFTER_FAILURE)
                self._cache.instead(token_key, usable)
                return usable, "cache"
            fresh = self._cache.refreshed(key, response, wanted, grant, client, required)
            if fresh is not None and not self._by_grants.saved(key):
                fresh = None
        log.debug("%s: %s", wanted, "signed out meanwhile" if fresh is None else "renewed")
        if fresh is None:
            raise self._by_grants.signed_out(client, grant if response.refresh_token else None)
        self._cache.renewed.emit()
        return fresh, "refresh"

    @contextlib.contextmanager
    def _exclusive(self, key: AccountKey) -> Iterator[SignedIn]:
        """Lock out other threads and kernels; yield the account as they left it.

        Raises ``NotSignedIn`` if it has been signed out meanwhile.
        """
        with self._account_locks.of(key), self._account_locks.held_by_me(key):
            signed_in = self._cache.signed_in.get(key)
            store = signed_in.store if signed_in is not None else None
            with contextlib.nullcontext() if store is None else store.refreshing(key):
                present = self._cache.signed_in.get(key)
                if present is None:
                    raise NotSignedIn("That account has been signed out.")
                yield present
