"""A token without asking anybody: from the cache, else by the grant that the sign-in left."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from nbauth.core.account import AccountKey
from nbauth.core.errors import (
    AuthorityUnreachable,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    PersistenceError,
)
from nbauth.core.interrupts import Flag, apart
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult, Source, TokenResponse
from nbauth.kernel.accounts.cache import TokenCache, TokenKey
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.flights import Flights, Turns
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)
HOLD_AFTER_FAILURE = 30.0
"""Seconds for which a token that is still valid is used on after a refresh has failed."""

Renewed = tuple[CachedToken, Source]
STILL_ALIVE = frozenset({"interaction_required", "AADSTS50076", "AADSTS50079", "AADSTS50158"})
"""One resource wants more proof than the refresh token can show; for others it is good."""


class Renewal:
    """Serves tokens from a cache and renews them, one request a token however many ask.

    Args:
        cache: this kernel's.
        engines: the engines in use.
        turns: the accounts'.
    """

    def __init__(self, cache: TokenCache, engines: Engines, turns: Turns) -> None:
        self._cache = cache
        self._engines = engines
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
        signed_in = self._cache.signed_in.get(key)
        if signed_in is None:
            raise NotSignedIn("That account has signed out.")
        token_key = TokenKey(key, wanted.key)
        seen = self._cache.tokens.get(token_key)
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
            except PersistenceError:  # another kernel is at it, and does not come to an end
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
            grant = _grant(signed_in, cached, wanted)
            if grant is None:
                if usable is not None:
                    log.debug("%s: from the cache, as long as it is valid", wanted)
                    return usable, "cache"
                log.debug("%s: nothing is left to renew it with", wanted)
                raise InteractionRequired(
                    "The sign-in has ended and left nothing to renew it with."
                )
            try:
                response = grant.renew(self._engines.of(client), wanted, claims)
                _check_same_person(response, signed_in)
            except NbAuthError as error:
                log.debug(
                    "%s: not renewed (%s)%s", wanted, word(error.code),
                    "" if usable is None else ", held on to while it is valid",
                )  # fmt: skip
                self._note(error, grant, signed_in)
                if usable is not None:
                    usable.hold(HOLD_AFTER_FAILURE)
                    return usable, "cache"
                raise _as_consent(error, wanted, grant.scopes) from error
            fresh = self._cache.refreshed(key, response, wanted, grant, client)
            present = self._cache.signed_in.get(key)
            keeper = present.keeper if present is not None else None
            if fresh is not None and keeper is not None and not keeper.refreshed(key):
                self._cache.remove(key, elsewhere=True)
                fresh = None
        log.debug("%s: %s", wanted, "signed out meanwhile" if fresh is None else "renewed")
        if fresh is None:
            if response.refresh_token:  # nobody will use it, and a revocation missed it
                with contextlib.suppress(NbAuthError):
                    grant.revoke(self._engines.of(client))
            raise NotSignedIn("That account has signed out.")
        self._cache.renewed.emit()
        return fresh, "refresh"

    @contextlib.contextmanager
    def _alone(self, key: AccountKey) -> Iterator[SignedIn]:
        """Hold off other threads and the kernels that share the account; gives it as they left it.

        Raises ``NotSignedIn`` if it has been signed out meanwhile.
        """
        with self._turns.of(key):
            signed_in = self._cache.signed_in.get(key)
            keeper = signed_in.keeper if signed_in is not None else None
            shared = contextlib.nullcontext(True) if keeper is None else keeper.refreshing(key)
            with shared as here:
                if not here:  # another kernel has signed it out
                    self._cache.remove(key, elsewhere=True)
                present = self._cache.signed_in.get(key)
                if present is None:
                    raise NotSignedIn("That account has signed out.")
                yield present

    def _note(self, error: NbAuthError, grant: Grant, signed_in: SignedIn) -> None:
        """What a failure leaves: a refresh token that has replaced the spent one, or a dead grant.

        A dead one is not used again, by this kernel or another.
        """
        if error.rotated is not None:
            log.debug("of an answer that is refused the refresh token is taken")
            grant.replaced(error.rotated)
            error.rotated = None
        elif (
            isinstance(error, InteractionRequired)
            and not isinstance(error, ConsentRequired)
            and error.code not in STILL_ALIVE
            and grant.usable
        ):
            log.debug("a grant is dead and is not used again")
            grant.end()
        else:
            return
        if signed_in.keeper is not None:
            signed_in.keeper.refreshed(signed_in.key)


def _serves(cached: CachedToken, refused: str | None) -> bool:
    return cached.response.access_token != refused


def _grant(signed_in: SignedIn, cached: CachedToken | None, wanted: Scopes) -> Grant | None:
    """The grant that the token came by, while it is good; else the best of the others."""
    if cached is not None and cached.grant.usable and cached.grant in signed_in.grants:
        return cached.grant
    return signed_in.grant_for(wanted.key)


def _check_same_person(response: TokenResponse, signed_in: SignedIn) -> None:
    """A refresh may bring an ID token, but not another person's (OpenID Connect Core §12.2)."""
    before, now = signed_in.id_token_claims.get("sub"), response.id_token_claims.get("sub")
    if before and now and now != before:
        from nbauth.oauth.id_token import refused  # brings cryptography, so not at %load_ext

        raise refused("subject", "is another person's than the one who signed in")


def _as_consent(error: NbAuthError, wanted: Scopes, granted: frozenset[str]) -> NbAuthError:
    """Providers say ``invalid_scope`` when a refresh asks for what was never consented to."""
    if isinstance(error, AuthorityUnreachable | InteractionRequired):
        return error
    if error.code == "invalid_scope" and not wanted.key <= granted:
        return ConsentRequired(f"These permissions have not been agreed to yet: {wanted}.")
    return error
