"""An account's grants as what renews its tokens: the first that is not dead, and what is left."""

from __future__ import annotations

import contextlib
import logging

from nbauth.core.account import AccountKey
from nbauth.core.errors import InteractionRequired, NbAuthError, NotSignedIn
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.answers import (
    as_consent,
    check_same_person,
    ends_the_grant,
    not_agreed_to,
)
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)


class ByGrants:
    """Asks the provider by an account's grants. Whoever calls holds off all others meanwhile.

    Args:
        cache: this kernel's.
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
        claims: str | None,
    ) -> tuple[Grant, TokenResponse]:
        """An answer by the first of the grants that is not dead."""
        for grant in grants:
            try:
                response = grant.renew(self._engines.of(client), wanted, claims)
                check_same_person(response, signed_in, grant)
                return grant, response
            except NbAuthError as error:
                log.debug("%s: not renewed (%s)", wanted, word(error.code))
                left = self._note(error, grant, signed_in.key)
                if left is not None:
                    raise self.signed_out(client, left) from error
                if grant is grants[-1] or not ends_the_grant(error):
                    told = as_consent(error, wanted, grant.scopes)
                    raise told from (error if told is not error else error.__cause__)
        raise AssertionError("there is always a grant")

    def saved(self, key: AccountKey) -> bool:
        """Keep what a refresh has left; ``False`` if the account has been signed out meanwhile."""
        present = self._cache.signed_in.get(key)
        if present is None or present.keeper is None:
            return present is not None
        return present.keeper.refreshed(key)

    def signed_out(self, client: Client, grant: Grant | None) -> NotSignedIn:
        """The error; a new refresh token, which no revocation has met, is revoked."""
        if grant is not None:
            with contextlib.suppress(NbAuthError):
                grant.revoke(self._engines.of(client))
        return NotSignedIn("That account has signed out.")

    def _note(self, error: NbAuthError, grant: Grant, key: AccountKey) -> Grant | None:
        """What a failure leaves: a refresh token that has replaced the spent one, or a dead grant.

        A dead one is not used again, by this kernel or another. Gives a grant that nobody has any
        more: with a new refresh token, and of an account that has been signed out meanwhile.
        """
        if error.rotated is not None:
            log.debug("of an answer that is refused the refresh token is taken")
            grant.replaced(error.rotated)
            error.rotated = None
            present = self._cache.signed_in.get(key)
            held = present is not None and grant in (*present.grants, *present.superseded)
            return None if held and self.saved(key) else grant
        if grant.usable:
            if not ends_the_grant(error):
                return None
            grant.end()
        log.debug("a grant is dead and is not used again")
        self.saved(key)
        return None


def grants_in_turn(signed_in: SignedIn, cached: CachedToken | None, wanted: Scopes) -> list[Grant]:
    """The grant that the token came by, while it is good, then the others, the best first."""
    others = signed_in.grants_for(wanted.key)
    if cached is None or not cached.grant.usable or cached.grant not in signed_in.grants:
        return others
    return [cached.grant, *(grant for grant in others if grant is not cached.grant)]


def nothing_left(signed_in: SignedIn, wanted: Scopes) -> InteractionRequired:
    """The error where no grant may bring a token: none is left, or none is for these scopes."""
    if any(grant.usable for grant in signed_in.grants):
        return not_agreed_to(wanted)
    ended = "The sign-in has ended and left nothing to renew it with."
    known = frozenset[str]().union(*(old.scopes | old.asked for old in signed_in.grants))
    if signed_in.client.authority.microsoft or "offline_access" in known:
        return InteractionRequired(ended)
    # Not all that have it list it (OpenID Connect Discovery §3 lets them), so it was not added.
    return InteractionRequired(
        f"{ended} If the provider has the scope offline_access, name it too: sign-ins then last."
    )
