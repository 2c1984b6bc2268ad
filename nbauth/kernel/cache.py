"""The one token cache: a dictionary from (authority, client, account, scopes) to a token.

The authority's whole address is part of every key, port and path included, so two issuers on one
host never meet. A look-up costs the same with one account and with ten thousand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbauth.core.accounts import Account
from nbauth.core.errors import NotSignedIn
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult, Source, TokenResponse, refresh_margin

AccountKey = tuple[str, str, str]
"""authority address, client_id, home_account_id"""
TokenKey = tuple[str, str, str, frozenset[str]]
"""an ``AccountKey`` and the scopes asked for"""


class KeptBy(Protocol):
    """What keeps an account beyond this kernel: ``kernel.keeper.Keeper``."""

    kept: str

    def keep(self, key: AccountKey) -> None: ...
    def used(self, key: AccountKey) -> None: ...
    def refreshing(self, key: AccountKey) -> AbstractContextManager[bool]: ...
    def refreshed(self, key: AccountKey) -> bool: ...
    def forget(self, key: AccountKey) -> None: ...


@dataclass
class Grant:
    """One refresh token and what it is good for; several access tokens may come from it.

    ``expires_on``: when the sign-in itself ends (epoch seconds), where the provider says so.
    """

    refresh_token: SecretStr | None
    scopes: frozenset[str]
    expires_on: float | None = None


@dataclass
class SignedIn:
    """One account with all that it holds."""

    account: Account
    unique_id: str
    id_token: SecretStr | None
    id_token_claims: Mapping[str, Any] = field(repr=False)
    sign_out_url: str = ""
    """Where the browser's own session at the provider ends."""
    grants: list[Grant] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while one of its refresh tokens is in use, since a rotating one works once."""
    keeper: KeptBy | None = None
    """What keeps it beyond this kernel."""

    def grant_for(self, scopes: frozenset[str]) -> Grant | None:
        """The newest grant that covers the scopes, else the newest."""
        usable = [grant for grant in reversed(self.grants) if grant.refresh_token]
        return next((grant for grant in usable if scopes <= grant.scopes), next(iter(usable), None))


class CachedToken:
    """An access token with its times. ``fresh`` is asked on every use, so it is cheap."""

    __slots__ = ("_until", "_until_wall", "expires_on", "grant", "response", "used")

    def __init__(self, response: TokenResponse, grant: Grant) -> None:
        self.response = response
        self.grant = grant
        self.expires_on = response.received_at + response.expires_in
        self.used = True
        good_for = response.expires_in - refresh_margin(response.expires_in)
        age = max(0.0, time.time() - response.received_at)
        # Both clocks: the wall clock may be set back, the monotonic one stands still in sleep.
        self._until = time.monotonic() + good_for - age
        self._until_wall = response.received_at + good_for

    @property
    def fresh(self) -> bool:
        """Whether more than the margin is left."""
        return time.monotonic() < self._until and time.time() < self._until_wall

    @property
    def fresh_for(self) -> float:
        """Seconds until it has to be replaced; less than 0 when that is past."""
        return min(self._until - time.monotonic(), self._until_wall - time.time())

    @property
    def valid(self) -> bool:
        """Whether a resource would still take it."""
        return time.time() < self.expires_on

    def hold(self, seconds: float) -> None:
        """Be content with it for so long, after a refresh has failed."""
        left = min(seconds, (self.expires_on - time.time()) / 2)
        self._until = time.monotonic() + left
        self._until_wall = time.time() + left

    def result(self, signed_in: SignedIn, source: Source) -> AuthenticationResult:
        """All that is known of it, as callers get it."""
        return AuthenticationResult(
            access_token=self.response.access_token,
            token_type=self.response.token_type,
            expires_on=self.expires_on,
            scopes=self.response.scopes,
            account=signed_in.account,
            tenant_id=signed_in.account.tenant_id,
            unique_id=signed_in.unique_id,
            id_token=signed_in.id_token,
            id_token_claims=signed_in.id_token_claims,
            correlation_id=self.response.correlation_id,
            source=source,
        )


class TokenCache:
    """Accounts and their tokens, in this kernel's memory."""

    def __init__(self) -> None:
        self.tokens: dict[TokenKey, CachedToken] = {}
        self.signed_in: dict[AccountKey, SignedIn] = {}
        self.current: dict[tuple[str, str], AccountKey] = {}
        self._lock = threading.Lock()

    def sign_in(
        self, key: AccountKey, signed_in: SignedIn, response: TokenResponse, asked: frozenset[str]
    ) -> None:
        """Take in what a finished sign-in brought; earlier tokens of the account stay."""
        scopes = asked | frozenset(s.lower() for s in response.scopes)
        grant = Grant(response.refresh_token, scopes, response.grant_ends_on)
        with self._lock:
            known = self.signed_in.get(key)
            if known is not None:
                signed_in.grants = [old for old in known.grants if not old.scopes <= grant.scopes]
                signed_in.lock, signed_in.keeper = known.lock, known.keeper
            signed_in.grants.append(grant)
            self.signed_in[key] = signed_in
            self.current[key[:2]] = key
            self.tokens[(*key, asked)] = CachedToken(response, grant)

    def restore(
        self,
        key: AccountKey,
        kept: SignedIn,
        tokens: Mapping[frozenset[str], CachedToken],
    ) -> None:
        """Take in what another kernel, or yesterday's, has kept of an account.

        A token that is here already stays the same object, so that who holds it sees no change.
        """
        with self._lock:
            known = self.signed_in.get(key)
            if known is not None:
                kept.lock = known.lock
            here = {known[3]: token for known, token in self.tokens.items() if known[:3] == key}
            for asked in here.keys() - tokens.keys():
                del self.tokens[(*key, asked)]
            for asked, token in tokens.items():
                old = here.get(asked)
                if old is not None and old.response.access_token == token.response.access_token:
                    old.grant = token.grant
                else:
                    self.tokens[(*key, asked)] = token
            self.signed_in[key] = kept
            self.current.setdefault(key[:2], key)

    def refreshed(
        self, key: AccountKey, response: TokenResponse, asked: frozenset[str], grant: Grant
    ) -> CachedToken | None:
        """Take in a refresh, unless the account has been signed out meanwhile (then ``None``)."""
        with self._lock:
            if key not in self.signed_in:
                return None
            if response.refresh_token:
                grant.refresh_token = response.refresh_token
                grant.expires_on = response.grant_ends_on
            token = self.tokens[(*key, asked)] = CachedToken(response, grant)
            return token

    def remove(self, key: AccountKey) -> SignedIn | None:
        """Forget an account and all its tokens; the newest of the others becomes current."""
        with self._lock:
            signed_in = self.signed_in.pop(key, None)
            for token_key in [known for known in self.tokens if known[:3] == key]:
                del self.tokens[token_key]
            if self.current.get(key[:2]) == key:
                others = [known for known in self.signed_in if known[:2] == key[:2]]
                if others:
                    self.current[key[:2]] = others[-1]
                else:
                    del self.current[key[:2]]
            return signed_in

    def accounts(self) -> list[Account]:
        """Everybody signed in, the current account of each client first."""
        current = set(self.current.values())
        records = list(self.signed_in.items())
        records.sort(key=lambda item: item[0] not in current)
        return [record.account for _, record in records]

    def account(self, key: AccountKey) -> Account | None:
        """Whose key it is, while signed in."""
        record = self.signed_in.get(key)
        return record.account if record else None

    def find(
        self, client: tuple[str, str], account: Account | str | None = None
    ) -> AccountKey | None:
        """A client's account, by name or the current one; ``None`` if it is not signed in."""
        if account is None:
            return self.current.get(client)
        for key, record in list(self.signed_in.items()):
            if key[:2] == client and is_account(record.account, account):
                return key
        return None

    def named(self, account: Account | str) -> AccountKey:
        """An account of whatever client. Raises ``NotSignedIn``."""
        for key, record in list(self.signed_in.items()):
            if is_account(record.account, account):
                return key
        raise self.unknown(account)

    def unknown(self, account: Account | str) -> NotSignedIn:
        """The error for an account that is not signed in, saying who is."""
        known = ", ".join(item.username for item in self.accounts()) or "nobody"
        return NotSignedIn(
            f"{name_of(account)} is not signed in here; signed in: {known}.",
            hint=f"Sign in: %login --account {name_of(account)}.",
        )

    def tokens_of(self, key: AccountKey) -> list[CachedToken]:
        """An account's tokens, oldest first."""
        return [token for known, token in list(self.tokens.items()) if known[:3] == key]


def name_of(account: Account | str) -> str:
    """The user name of an account, however it was given."""
    return account.username if isinstance(account, Account) else account


def is_account(known: Account, asked: Account | str) -> bool:
    """Whether an account is the one asked for, by itself, user name or home account id."""
    if isinstance(asked, Account):
        return known == asked or (
            known.home_account_id == asked.home_account_id and known.authority == asked.authority
        )
    return asked.lower() in {known.username.lower(), known.home_account_id.lower()}
