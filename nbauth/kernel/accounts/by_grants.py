"""Renews tokens with an account's grants, and records which grants can no longer be used."""

from __future__ import annotations

import contextlib
import logging

from nbauth.core.account import AccountKey
from nbauth.core.errors import REFRESH_REFUSED, InteractionRequired, NbAuthError, NotSignedIn
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.refresh_errors import (
    as_consent,
    check_same_person,
    ends_the_grant,
    no_consent,
)
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)


class ByGrants:
    """Renews at the provider with an account's grants.

    The caller makes sure that nobody else renews this account at the same time.

    Args:
        cache: of this kernel.
        engines: the engines in use.
    """

    def __init__(self, cache: TokenCache, engines: Engines) -> None:
        self._cache = cache
        self._engines = engines

    def renew(
        self,
        grants: list[Grant],
        client: Client,
        signed_in: SignedIn,
        wanted: Scopes,
        required: Requirement | None,
        refused: str | None,
    ) -> tuple[Grant, TokenResponse]:
        """Return the first grant that the provider accepts, and its response.

        Raises the error of the last grant that was tried; ``NotSignedIn`` if the account was signed
        out meanwhile.
        """
        for grant in grants:
            try:
                response = grant.renew(self._engines.of(client), wanted, required, refused)
                check_same_person(response, signed_in, grant)
                return grant, response
            except NbAuthError as error:
                log.debug("%s: not renewed (%s)", wanted, word(error.code))
                left = self._note(error, grant, signed_in.key)
                if left is not None:
                    raise self.signed_out(client, left) from error
                about_this_grant = not grant.usable or error.code == REFRESH_REFUSED
                if grant is grants[-1] or not about_this_grant:
                    told = as_consent(error, wanted, grant.scopes)
                    raise told from (error if told is not error else error.__cause__)
        raise AssertionError("grants is never empty")

    def saved(self, key: AccountKey) -> bool:
        """Save an account's grants; ``False`` if it has been signed out meanwhile."""
        present = self._cache.signed_in.get(key)
        if present is None or present.store is None:
            return present is not None
        return present.store.refreshed(key)

    def signed_out(self, client: Client, grant: Grant | None) -> NotSignedIn:
        """The error for an account that was signed out during a refresh.

        Args:
            grant: one with a refresh token that is newer than the sign-out; it is revoked.
        """
        if grant is not None:
            with contextlib.suppress(NbAuthError):
                grant.revoke(self._engines.of(client))
        return NotSignedIn("That account has been signed out.")

    def _note(self, error: NbAuthError, grant: Grant, key: AccountKey) -> Grant | None:
        """Record what a failed refresh means for its grant.

        An error response may still contain a new refresh token, which replaces the used one. A
        grant that the provider has ended is marked, so that no kernel uses it again.

        Returns the grant if it has a new refresh token and its account was signed out meanwhile.
        """
        if error.rotated is not None:
            log.debug("the refresh token of an error response is kept")
            self._cache.issued.add(error.rotated)
            grant.replaced(error.rotated)
            error.rotated = None
            present = self._cache.signed_in.get(key)
            held = present is not None and grant in (*present.grants, *present.superseded)
            return None if held and self.saved(key) else grant
        if grant.usable:
            if not ends_the_grant(error):
                return None
            grant.end()
        log.debug("a grant has ended and is not used again")
        self.saved(key)
        return None


def grants_to_try(signed_in: SignedIn, cached: CachedToken | None, wanted: Scopes) -> list[Grant]:
    """The grants to try: the one that the cached token came from, then the others, best first."""
    others = signed_in.grants_for(wanted.key)
    if cached is None or not cached.grant.usable or cached.grant not in signed_in.grants:
        return others
    return [cached.grant, *(grant for grant in others if grant is not cached.grant)]


def no_usable_grant(signed_in: SignedIn, wanted: Scopes) -> InteractionRequired:
    """The error for an account without a usable grant, or without one for these scopes."""
    if any(grant.usable for grant in signed_in.grants):
        return no_consent(wanted)
    ended = "The sign-in has expired and there is no refresh token."
    known = frozenset[str]().union(*(old.scopes | old.asked for old in signed_in.grants))
    if signed_in.client.authority.microsoft or "offline_access" in known:
        return InteractionRequired(ended)
    # Providers need not list offline_access (OpenID Connect Discovery §3); then nbauth adds it not.
    return InteractionRequired(
        f"{ended} If the provider supports the scope offline_access, request it: the provider then"
        " issues a refresh token."
    )
