"""Who is signed in: listing, switching, signing out."""

from __future__ import annotations

import logging

from nbauth.core.account import Account, AccountKey, Asked, ClientKey, check_asked, check_client
from nbauth.core.errors import AuthorityUnreachable, NbAuthError
from nbauth.core.log import word
from nbauth.core.person import Person, say_to
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.keeping import Keeping
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.client import Client, Engines

log = logging.getLogger(__name__)


class Accounts:
    """The accounts of this kernel and of what is kept beyond it.

    Args:
        cache, keeping, engines: the session's.
        person: who is told what a provider does not do.
    """

    def __init__(
        self, cache: TokenCache, keeping: Keeping, engines: Engines, person: Person
    ) -> None:
        self._cache = cache
        self._keeping = keeping
        self._engines = engines
        self._person = person

    def all(self, persist: str) -> list[Account]:
        """Everybody signed in, the current account of each client first; also who is kept.

        ``persist`` says where besides this kernel.
        """
        self._keeping.fetch_all(persist)
        return self._cache.accounts()

    def use(self, key: AccountKey) -> Account:
        """Make an account the one that is used when none is named. Raises ``NotSignedIn``."""
        record = self._cache.signed_in.get(key)
        beside = record is not None and record.beside
        account = self._cache.use(key)
        if beside:
            self._keeping.keep_anew(key)  # what is kept of it says so too
        self._keep_current(key.client)
        self._cache.changed.emit()
        return account

    def the_one(self, client: Client | None, asked: Asked) -> AccountKey:
        """An account by any of its names, of one client or of whichever has it.

        Raises ``NotSignedIn``, ``ConfigurationError`` for a name that several accounts share.
        """
        if not isinstance(asked, str):  # nobody else can be meant: no store is read
            check_asked(asked)
            exact = asked.key if isinstance(asked, Account) else asked
            if client is not None:
                check_client(asked, client.key)
            if exact in self._cache.signed_in:
                return exact
        if client is None:
            self._keeping.fetch_everybody()
            return self._cache.named(asked)
        self._keeping.look_again()
        key = self._keeping.find(client, asked)
        if key is None:
            self._keeping.fetch_everybody()
            key = self._cache.find(client.key, asked)
        if key is None:
            raise self._cache.unknown(asked)
        return key

    def begin_sign_out(self) -> None:
        """Before anybody is looked for: stores that did not open are tried, and told, anew."""
        self._keeping.begin_sign_out()

    def everybody(self) -> list[AccountKey]:
        """All accounts, wherever they are kept and whatever the settings say now."""
        self._keeping.fetch_everybody()
        return list(self._cache.signed_in)

    def current(self, client: Client) -> AccountKey | None:
        """The account of a client that is used when none is named, wherever it is kept."""
        key = self._keeping.find(client)
        if key is None:
            self._keeping.fetch_everybody()
            key = self._cache.find(client.key)
        return key

    def sign_out(self, keys: list[AccountKey], *, revoke: bool, forget: bool) -> list[SignedIn]:
        """Forget accounts with every token, here and wherever they are kept.

        Args:
            keys: whose.
            revoke: also withdraw each sign-in at the provider (RFC 7009), where it offers that.
            forget: also everything else that is kept beyond this kernel, and its key.
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
            self._keeping.forget()
        log.debug("signed out: %d%s", len(gone), ", revoked" if revoke else "")
        self._cache.changed.emit()
        return gone

    def _forget(self, key: AccountKey, *, read: bool) -> tuple[SignedIn | None, list[Grant]]:
        """Forget an account here and wherever it is kept; gives what was known of it.

        With ``read`` also the grants that are kept, as other kernels have left them.
        """
        kept: list[Grant] = []
        with self._keeping.leaving(key):
            record = self._cache.remove(key)
            if record is not None:
                if read:
                    kept = self._keeping.grants_of(key)
                if record.keeper is not None:
                    record.keeper.forget(key)
                self._keeping.clear(key)
        return record, kept

    def _keep_current(self, client: ClientKey) -> None:
        """Let the next kernel begin with the account that is current here, if it is kept."""
        key = self._cache.current.get(client)
        record = self._cache.signed_in.get(key) if key else None
        if key and record and record.keeper is not None:
            record.keeper.used(key)

    def _revoke(self, record: SignedIn, kept: list[Grant]) -> None:
        """Withdraw every grant: those that later ones have superseded too, and what was kept, which
        another kernel may have renewed."""
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
                text = "This provider offers no revocation; the tokens here are gone."
                say_to(self._person, text)
                return
