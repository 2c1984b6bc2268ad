"""The tokens of the cache, by account and scopes."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from nbauth.core.account import AccountKey
from nbauth.core.scopes import is_covered, undeclared
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Grant


class TokenKey(NamedTuple):
    """The account of a token, and the requested scopes (``Scopes.key``)."""

    account: AccountKey
    scopes: frozenset[str]


class TokenTable(dict[TokenKey, CachedToken]):
    """The tokens of all accounts. Its methods that change it need the lock of the cache."""

    def of(self, account: AccountKey) -> list[CachedToken]:
        """An account's tokens, oldest first."""
        mine = (token for key, token in list(self.items()) if key.account == account)
        return list(dict.fromkeys(mine))  # a token may be stored under several keys

    def of_grants(
        self, account: AccountKey, grants: Container[Grant]
    ) -> dict[frozenset[str], CachedToken]:
        """An account's tokens from these grants, by the requested scopes."""
        return {token.asked.key: token for token in self.of(account) if token.grant in grants}

    def merge(self, account: AccountKey, tokens: Mapping[frozenset[str], CachedToken]) -> None:
        """Add stored tokens, except where a token is here whose grant is not stored yet."""
        for asked, token in tokens.items():
            here = self.get(TokenKey(account, asked))
            if here is None or here.grant.kept:  # a token of a grant that is not stored is newer
                self._put(TokenKey(account, asked), token, here)

    def replace(self, account: AccountKey, tokens: Mapping[frozenset[str], CachedToken]) -> None:
        """Replace all tokens of an account. An unchanged token stays the same object."""
        here = {key.scopes: token for key, token in self.items() if key.account == account}
        for asked in here.keys() - tokens.keys():
            del self[TokenKey(account, asked)]
        for asked, token in tokens.items():
            self._put(TokenKey(account, asked), token, here.get(asked))

    def _put(self, key: TokenKey, kept: CachedToken, here: CachedToken | None) -> None:
        if here is not None and here.response.access_token == kept.response.access_token:
            here.grant = kept.grant
            return
        if here is not None:
            kept.client = here.client  # its proxies and certificates are this kernel's
        self[key] = kept

    def outdate_twin(self, key: TokenKey, token: CachedToken) -> None:
        """If a host has refused a token of nbauth's calls (``Scopes.declaring``), renew the other
        token for the same scopes at its next use: the new sign-in gives a better one too."""
        twin = self.get(TokenKey(key.account, undeclared(key.scopes)))
        if token.asked.declares and token.fulfils is not None and twin is not None:
            twin.outdate()

    def forget_results(self, account: AccountKey) -> None:
        """Make the results for callers again: they contain the account's ID token."""
        for token in self.of(account):
            token.forget_result()

    def renew(self, key: TokenKey, token: CachedToken) -> None:
        """Replace a token under its key, and under every other key of the same token whose scopes
        the new one covers."""
        before = self.get(key)
        self[key] = token
        granted = token.granted
        for name, other in [item for item in self.items() if item[1] is before]:
            if is_covered(name.scopes, granted):
                self[name] = token
            elif name.scopes != other.asked.key:
                del self[name]  # the next request looks for another token
