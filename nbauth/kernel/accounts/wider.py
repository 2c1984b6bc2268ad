"""Serves a request with a token that was issued for more scopes."""

from __future__ import annotations

from collections.abc import Iterable

from nbauth.core.scopes import Scopes, is_covered
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Grant


def serves(token: CachedToken, wanted: Scopes) -> bool:
    """Whether a token covers the scopes.

    At Microsoft's authorities a token is for one resource, though its response may list the scopes
    of several.
    """
    if not token.client.authority.microsoft:
        return is_covered(wanted.key, token.granted)
    one, other = wanted.resource, token.asked.resource
    if one is None or other is None or one.lower() != other.lower():
        return False
    return is_covered(wanted.key, token.granted)


def best(
    own: CachedToken | None, others: Iterable[CachedToken], living: list[Grant], wanted: Scopes
) -> CachedToken | None:
    """Select the token of an account for a request.

    Its own token while fresh, else a fresh wider one. If none is fresh, the one to renew: its own,
    unless its grant was replaced by another.

    Args:
        own: the token that was requested with exactly these scopes.
        others: all tokens of the account.
        living: the account's grants in use.
    """
    if own is not None and own.fresh:
        return own
    wider = [token for token in others if token is not own and serves(token, wanted)]
    wider.sort(key=lambda token: token.fresh_for, reverse=True)
    for token in wider:
        if token.fresh:
            return token
    if own is not None and (_renews(own, living) or own.client.authority.microsoft):
        return own
    for token in wider:
        # At Microsoft's authorities each request renews with its own scopes.
        if _renews(token, living) and not token.client.authority.microsoft:
            return token
    return own if own is None or own.asked.key == wanted.key else None


def _renews(token: CachedToken, living: list[Grant]) -> bool:
    return token.grant.usable and token.grant in living
