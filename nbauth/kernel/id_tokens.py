"""ID tokens for callers: renewed with the account's grants, before they expire.

The response to a refresh need not contain an ID token (OpenID Connect Core §12.2).
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import NamedTuple

from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import InteractionRequired, NbAuthError, NotSignedIn, TokenError
from nbauth.core.flow_names import BROWSER
from nbauth.core.log import word
from nbauth.core.magic_word import login_line
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.renewal import FRESH_AFTER_FAILURE
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.bound import Bound

log = logging.getLogger(__name__)


class IdTokenDetails(NamedTuple):
    """See ``core.tokens.TokenDetails``. An ID token has no scopes."""

    account: Account
    expires_on: float
    scopes: tuple[str, ...] = ()


class IdTokens:
    """Gives the ID tokens of accounts.

    A refresh that brings no newer ID token is repeated when the present one has expired, and then
    at most every 30 seconds.

    Args:
        cache: of this kernel.
    """

    def __init__(self, cache: TokenCache) -> None:
        self._cache = cache
        self._paused: dict[AccountKey, tuple[SecretStr | None, float]] = {}

    def record(self, key: AccountKey) -> SignedIn:
        """The account's record, with the ID token that is here. Raises ``NotSignedIn``."""
        record = self._cache.signed_in.get(key)
        if record is None:
            raise NotSignedIn("That account has been signed out.")
        return record

    def current(self, bound: Bound, wanted: Scopes) -> SignedIn:
        """The account's record with an ID token that is valid now, renewed if necessary.

        Raises ``TokenError`` if the sign-in has no ID token; ``InteractionRequired`` if the present
        one ends and a person has to sign in for the next.
        """
        assert bound.key is not None
        record = self.record(bound.key)
        if record.id_life is not None and record.id_life.fresh:
            return record
        if record.id_token is None and not _may_come(record):
            raise no_id_token(record)
        cached = self._renews(record, wanted)
        # The order matters: another thread's refresh changes the ID token before this text.
        text = None if cached is None else cached.response.access_token
        record = self.record(bound.key)
        if record.id_life is not None and record.id_life.fresh:
            return record
        if not self._is_paused(record):
            record = self._renewed(bound, record, wanted if cached is None else cached.asked, text)
        if _valid_for(record) > 0:
            return record
        raise no_id_token(record) if record.id_token is None else _ended(record)

    def _renewed(
        self, bound: Bound, before: SignedIn, scopes: Scopes, text: SecretStr | None
    ) -> SignedIn:
        left, had = _valid_for(before), before.id_token  # a refresh changes the record
        try:
            bound.get(scopes, refused=text, may_ask=left <= 0)
        except NbAuthError as error:
            if left <= 0:
                raise
            log.debug("an ID token is used while it is valid (%s)", word(error.code))
            self._pause(before, min(FRESH_AFTER_FAILURE, left / 2))
            return before
        record = self.record(before.key)
        if record.id_token == had:
            log.debug("a refresh brought no new ID token")
            self._pause(record, max(FRESH_AFTER_FAILURE, _valid_for(record)))
        return record

    def _renews(self, record: SignedIn, wanted: Scopes) -> CachedToken | None:
        """The access token to refresh: the wanted one, if its refresh brings an ID token too."""
        own = self._cache.token_for(record.key, wanted)
        tokens = [own, *reversed(self._cache.tokens_of(record.key))]
        brings = (one for one in tokens if one is not None and _brings_id_token(one))
        return next(brings, own)

    def _is_paused(self, record: SignedIn) -> bool:
        text, until = self._paused.get(record.key, (None, 0.0))
        return text == record.id_token and time.monotonic() < until

    def _pause(self, record: SignedIn, seconds: float) -> None:
        self._paused[record.key] = record.id_token, time.monotonic() + seconds


class LiveIdToken:
    """What an ``IdToken`` reads from; see ``core.tokens.TokenSource``.

    Args:
        bound: the client and account; the account is fixed.
        scopes: of the access token that is refreshed with it.
    """

    __slots__ = ("_bound", "_scopes", "_tokens", "owner")

    def __init__(self, tokens: IdTokens, bound: Bound, scopes: Scopes) -> None:
        assert bound.key is not None
        self.owner = bound.key
        self._bound = bound
        self._scopes = scopes
        self._tokens = tokens

    def read(self) -> SecretStr:
        text = self._tokens.current(self._bound, self._scopes).id_token
        assert text is not None
        return text

    def result(self) -> IdTokenDetails:
        record = self._tokens.current(self._bound, self._scopes)
        assert record.id_life is not None
        return IdTokenDetails(record.account, record.id_life.expires_on)


def _brings_id_token(token: CachedToken) -> bool:
    """Whether the response to its refresh may contain an ID token."""
    grant = token.grant
    if not grant.usable or token.asked.declares:
        return False
    return token.client.authority.microsoft or "openid" in grant.scopes | grant.asked


def _may_come(record: SignedIn) -> bool:
    """Whether a refresh may bring the first ID token. An import from MSAL's cache has none."""
    of_a_person = any(grant.usable and not grant.flow for grant in record.grants)
    return record.client.authority.microsoft and of_a_person


def _valid_for(record: SignedIn) -> float:
    return 0.0 if record.id_life is None else record.id_life.valid_for


def no_id_token(record: SignedIn) -> TokenError:
    """The error for a sign-in without an ID token."""
    account, flow = record.account, record.flow
    asked = frozenset[str]().union(*(grant.scopes | grant.asked for grant in record.grants))
    login = partial(login_line, account.profile, account.username)
    if account.application:
        what = f"{account.username} is an application, and only people have ID tokens."
        hint = f"Sign in as a person: %login --flow {BROWSER}."
    elif flow:
        what = f"--flow {flow} gives access tokens only, and no ID token."
        hint = f"Sign in with nbauth: %login --flow {BROWSER}."
    elif "openid" in asked or record.client.authority.microsoft:
        what = f"The provider issued no ID token for {account.username}."
        hint = f"Sign in again: {login()} --force. If there is still none, ask its administrator."
    else:
        what = f"{account.username} signed in without the scope openid, so there is no ID token."
        hint = f"Sign in with this scope: {login(['openid'])} --force."
    return TokenError(what, code="no_id_token", hint=hint)


def _ended(record: SignedIn) -> InteractionRequired:
    account = record.account
    return InteractionRequired(
        f"The ID token of {account.username} has expired or expires within seconds. The provider"
        " issues a new one only at a sign-in.",
        code="id_token_not_renewed",
        hint=f"Sign in again: {login_line(account.profile, account.username)} --force.",
    )
