"""A token without asking anybody: from the cache, else by refresh token."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
)
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult, Source, TokenResponse
from nbauth.kernel.cache import AccountKey, CachedToken, Grant, SignedIn, TokenCache, TokenKey
from nbauth.kernel.client import Client, Engines
from nbauth.kernel.flights import Flights

HOLD_AFTER_FAILURE = 30.0
"""Seconds for which a token that is still valid is used on after a refresh has failed."""

STILL_ALIVE = frozenset({"interaction_required", "AADSTS50076", "AADSTS50079", "AADSTS50158"})
"""One resource wants more proof than the refresh token can show; for others it is good."""


class Renewal:
    """Serves tokens from a cache and renews them, one request a token however many ask.

    ``renewed`` is called after each that was.
    """

    def __init__(
        self, cache: TokenCache, engines: Engines, renewed: Callable[[], None] = lambda: None
    ) -> None:
        self._cache = cache
        self._engines = engines
        self._renewed = renewed
        self._flights = Flights()

    def silent(
        self,
        client: Client,
        key: AccountKey,
        wanted: Scopes,
        *,
        force: bool = False,
        claims: str | None = None,
    ) -> AuthenticationResult:
        """From the cache, or by refresh token. Raises ``InteractionRequired`` if neither works."""
        signed_in = self._cache.signed_in.get(key)
        if signed_in is None:
            raise NotSignedIn("That account has signed out.")
        token_key: TokenKey = (*key, wanted.key)
        seen = self._cache.tokens.get(token_key)
        if seen is not None and seen.fresh and not force and claims is None:
            seen.used = True
            return seen.result(signed_in, "cache")
        cached, source = self._flights.run(
            (token_key, claims),
            lambda: self._refresh(client, key, signed_in, wanted, seen, force, claims),
        )
        return cached.result(signed_in, source)

    def _refresh(
        self,
        client: Client,
        key: AccountKey,
        signed_in: SignedIn,
        wanted: Scopes,
        seen: CachedToken | None,
        force: bool,
        claims: str | None,
    ) -> tuple[CachedToken, Source]:
        token_key: TokenKey = (*key, wanted.key)
        with signed_in.lock, self._alone(key, signed_in) as here:
            if not here or (present := self._cache.signed_in.get(key)) is None:
                self._cache.remove(key)
                raise NotSignedIn("That account has signed out.")
            signed_in = present
            cached = self._cache.tokens.get(token_key)
            if cached is not None and cached is not seen and cached.fresh and claims is None:
                return cached, "refresh"  # another thread's refresh ended while we waited
            usable = cached is not None and cached.valid and not force and claims is None
            grant = cached.grant if cached and cached.grant.refresh_token else None
            grant = grant or signed_in.grant_for(wanted.key)
            if grant is None or grant.refresh_token is None:
                if usable:
                    assert cached is not None
                    return cached, "cache"
                raise InteractionRequired(
                    "The sign-in has ended and left nothing to renew it with."
                )
            try:
                response = self._engines.of(client).refresh(grant.refresh_token, wanted, claims)
                _check_same_person(response, signed_in)
            except NbAuthError as error:
                if _note_dead(error, grant) and signed_in.keeper is not None:
                    signed_in.keeper.refreshed(key)
                if usable:
                    assert cached is not None
                    cached.hold(HOLD_AFTER_FAILURE)
                    return cached, "cache"
                raise _as_consent(error, wanted, grant.scopes) from error
            fresh = self._cache.refreshed(key, response, wanted.key, grant)
            if fresh and signed_in.keeper is not None and not signed_in.keeper.refreshed(key):
                self._cache.remove(key)
                fresh = None
        if fresh is None:
            raise NotSignedIn("That account has signed out.")
        self._renewed()
        return fresh, "refresh"

    def _alone(
        self, key: AccountKey, signed_in: SignedIn
    ) -> contextlib.AbstractContextManager[bool]:
        """Hold off the other kernels that share the account; whether it is still signed in."""
        if signed_in.keeper is None:
            return contextlib.nullcontext(True)
        return signed_in.keeper.refreshing(key)


def _check_same_person(response: TokenResponse, signed_in: SignedIn) -> None:
    """A refresh may bring an ID token, but not another person's (OpenID Connect Core §12.2)."""
    before, now = signed_in.id_token_claims.get("sub"), response.id_token_claims.get("sub")
    if before and now and now != before:
        from nbauth.oauth.id_token import refused  # brings cryptography, so not at %load_ext

        raise refused("subject", "is another person's than the one who signed in")


def _note_dead(error: NbAuthError, grant: Grant) -> bool:
    """A refresh token that the provider calls dead is not sent again. Whether it is one."""
    dead = (
        isinstance(error, InteractionRequired)
        and not isinstance(error, ConsentRequired)
        and error.code not in STILL_ALIVE
    )
    if dead:
        grant.refresh_token = None
    return dead


def _as_consent(error: NbAuthError, wanted: Scopes, granted: frozenset[str]) -> NbAuthError:
    """Providers say ``invalid_scope`` when a refresh asks for what was never consented to."""
    if isinstance(error, AuthorityUnreachable | InteractionRequired):
        return error
    if error.code == "invalid_scope" and not wanted.key <= granted:
        return ConsentRequired(f"These permissions have not been agreed to yet: {wanted}.")
    return error
