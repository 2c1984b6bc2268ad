"""Finds accounts and tokens in this kernel's memory."""

from __future__ import annotations

import logging

from nbauth.core.account import Account, AccountKey, Asked, ClientKey, check_client, name_of
from nbauth.core.errors import NotSignedIn
from nbauth.core.magic_word import login_line
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.names import Names
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.token_table import TokenTable

log = logging.getLogger(__name__)


class CacheLookups:
    """The look-ups of the token cache. They change nothing and take no lock.

    Attributes:
        tokens: the tokens by account and scopes.
        signed_in: the signed-in accounts.
        current: the account of each client that is used when a call names none.
    """

    def __init__(self) -> None:
        self.tokens = TokenTable()
        self.signed_in: dict[AccountKey, SignedIn] = {}
        self.current: dict[ClientKey, AccountKey] = {}
        self._names = Names(self.signed_in)
        self._changes: dict[AccountKey, int] = {}

    def accounts(self) -> list[Account]:
        """All signed-in accounts, the current one of each client first."""
        current = set(self.current.values())
        records = list(self.signed_in.items())
        records.sort(key=lambda item: item[0] not in current)
        return [record.account for _, record in records]

    def serve(self, key: AccountKey | None, scopes: frozenset[str]) -> AuthenticationResult | None:
        """Return a fresh token of an account; takes two dictionary look-ups."""
        token = self.tokens.get((key, scopes))  # type: ignore[call-overload]
        record = self.signed_in.get(key)  # type: ignore[arg-type]
        here = None if token is None or record is None else token.serve(record)
        if here is not None:
            log.debug("%s: from the cache", token.asked)
        return here

    def account(self, key: AccountKey) -> Account | None:
        """The account of a key, while it is signed in."""
        record = self.signed_in.get(key)
        return record.account if record else None

    def find(self, client: ClientKey, asked: Asked | None = None) -> AccountKey | None:
        """Return the requested or current account of a client; ``None`` if it is not signed in.

        Raises ``ConfigurationError`` for a name that several of its accounts share, and for an
        account of another client.
        """
        check_client(asked, client)
        return self.current.get(client) if asked is None else self._names.only(asked, client)

    def named(self, asked: Asked) -> AccountKey:
        """Return an account of any client.

        Raises ``NotSignedIn``; ``ConfigurationError`` for a name that several accounts share.
        """
        key = self._names.only(asked)
        if key is None:
            raise self.unknown(asked)
        return key

    def unknown(self, asked: Asked, profile: str = "") -> NotSignedIn:
        """The error for an account that is not signed in; it lists the accounts that are."""
        known = ", ".join(item.username for item in self.accounts()) or "nobody"
        return NotSignedIn(
            f"{name_of(asked)} is not signed in here; signed in: {known}.",
            hint=f"Sign in: {login_line(profile, name_of(asked))}.",
        )

    def not_here(self, key: AccountKey) -> NotSignedIn:
        """The error for an account that is not signed in, or no longer."""
        if self.changes(key):
            return NotSignedIn("That account has been signed out.")
        return NotSignedIn(
            "That account is not signed in in this process.",
            hint="Run %login here. For worker processes, store the sign-in before they start:"
            " %login --persist keyring. For the workers of a Dask cluster, call"
            " nbauth.adapters.dask.serve(client) in the notebook.",
        )

    def changes(self, key: AccountKey) -> int:
        """How often an account has changed here; see ``TokenCache.restore``."""
        return self._changes.get(key, 0)

    def tokens_of(self, key: AccountKey) -> list[CachedToken]:
        """An account's tokens, oldest first."""
        return self.tokens.of(key)
