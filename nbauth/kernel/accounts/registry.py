"""The signed-in accounts: list, switch, sign out."""

from __future__ import annotations

import logging

from nbauth.core.account import Account, AccountKey, Asked, ClientKey, check_asked, check_client
from nbauth.core.errors import AuthorityUnreachable, NbAuthError
from nbauth.core.log import word
from nbauth.core.person import Person, say_to
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.stored_accounts import StoredAccounts
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)


class Accounts:
    """The accounts of this kernel and of its stores.

    Args:
        cache, stored, engines: the session's.
        person: is told what a provider does not support.
    """

    def __init__(
        self, cache: TokenCache, stored: StoredAccounts, engines: Engines, person: Person
    ) -> None:
        self._cache = cache
        self._stored = stored
        self._engines = engines
        self._person = person

    def all(self, persist: str) -> list[Account]:
        """All signed-in and stored accounts, the current one of each client first.

        ``persist`` names the store to read.
        """
        self._stored.fetch_all(persist)
        return self._cache.accounts()

    def use(self, key: AccountKey, *, chosen: bool = False) -> Account:
        """Make an account the one used when none is named. Raises ``NotSignedIn``.

        ``chosen``: whether the person asked for that.
        """
        record = self._cache.signed_in.get(key)
        beside = record is not None and record.beside
        account = self._cache.use(key, chosen=chosen)
        if beside:
            self._stored.store_again(key)  # its stored record has to say so too
        self._keep_current(key.client)
        self._cache.changed.emit()
        return account

    def the_one(self, client: Client | None, asked: Asked) -> AccountKey:
        """Return an account by any of its names, of one client or of any.

        Raises ``NotSignedIn``; ``ConfigurationError`` for a name that several accounts share.
        """
        if not isinstance(asked, str):  # a key is unambiguous: no store has to be read
            check_asked(asked)
            exact = asked.key if isinstance(asked, Account) else asked
            if client is not None:
                check_client(asked, client.key)
            if exact in self._cache.signed_in:
                return exact
        if client is None:
            self._stored.fetch_everybody()
            return self._cache.named(asked)
        self._stored.look_again()
        key = self._stored.find(client, asked)
        if key is None:
            self._stored.fetch_everybody()
            key = self._cache.find(client.key, asked)
        if key is None:
            raise self._cache.unknown(asked, client.settings.profile)
        return key

    def begin_sign_out(self) -> None:
        """Before a sign-out: try failed stores again, and report their errors again."""
        self._stored.begin_sign_out()

    def everybody(self) -> list[AccountKey]:
        """All accounts from every store, whatever the settings say."""
        self._stored.fetch_everybody()
        return list(self._cache.signed_in)

    def current(self, client: Client) -> AccountKey | None:
        """The account of a client that is used when none is named, from any store."""
        key = self._stored.find(client)
        if key is None:
            self._stored.fetch_everybody()
            key = self._cache.find(client.key)
        return key

    def sign_out(self, keys: list[AccountKey], *, revoke: bool, forget: bool) -> list[SignedIn]:
        """Remove accounts with all their tokens, here and from every store.

        Args:
            keys: of the accounts.
            revoke: also revoke each grant at the provider (RFC 7009), if it supports that.
            forget: also delete everything else that is stored, and its key.
        """
        gone = []
        for key in keys:
            record, kept = self._forget(key, read=revoke)
            if record is None:
                continue
            gone.append(record)
            if revoke:
                self._revoke(record, kept)
        for client in {key.client for key in keys}:
            self._keep_current(client)
        if forget:
            self._stored.forget()
        log.debug("signed out: %d%s", len(gone), ", revoked" if revoke else "")
        self._cache.changed.emit()
        return gone

    def _forget(self, key: AccountKey, *, read: bool) -> tuple[SignedIn | None, list[Grant]]:
        """Remove an account here and from every store; return what was known of it.

        With ``read``, also return the stored grants, as other kernels have left them.
        """
        kept: list[Grant] = []
        with self._stored.signing_out(key):
            record = self._cache.remove(key)
            if record is not None:
                if read:
                    kept = self._stored.grants_of(key)
                if record.store is not None:
                    record.store.forget(key)
                self._stored.clear(key)
        return record, kept

    def _keep_current(self, client: ClientKey) -> None:
        """Record the current account in its store, so that the next kernel starts with it."""
        key = self._cache.current.get(client)
        record = self._cache.signed_in.get(key) if key else None
        if key and record and record.store is not None:
            record.store.used(key)

    def _revoke(self, record: SignedIn, kept: list[Grant]) -> None:
        """Revoke every grant: also superseded ones, and stored ones that another kernel may have
        renewed."""
        engine = self._engines.of(record.client)
        grants = [grant for grant in (*kept, *record.superseded, *record.grants) if grant.usable]
        for grant in {grant.record()["refresh_token"]: grant for grant in grants}.values():
            try:
                offered = grant.revoke(engine)
            except NbAuthError as error:
                log.debug("not revoked (%s)", word(error.code))
                text = f"{record.account.username}: not revoked at the provider: {error}"
                say_to(self._person, text)
                if isinstance(error, AuthorityUnreachable):
                    return
                continue
            if not offered:
                text = "The provider does not support revocation. The tokens were removed here."
                say_to(self._person, text)
                return
