"""Who is signed in: listing, switching, signing out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from nbauth.core.accounts import Account
from nbauth.core.errors import NbAuthError
from nbauth.kernel.cache import AccountKey, SignedIn, TokenCache
from nbauth.kernel.client import Engines
from nbauth.kernel.keeping import Keeping


class Accounts:
    """The accounts of this kernel and of what is kept beyond it.

    Args:
        cache, keeping, engines: the session's.
        persist: gives the ``persist`` setting. Raises ``ConfigurationError``.
        say: a sentence to the person.
        changed: called when who is signed in, or current, has changed.
    """

    def __init__(
        self,
        cache: TokenCache,
        keeping: Keeping,
        engines: Engines,
        persist: Callable[[], str],
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._cache = cache
        self._keeping = keeping
        self._engines = engines
        self._persist = persist
        self._say = say
        self._changed = changed

    def all(self) -> list[Account]:
        """Everybody signed in, the current account of each client first; also who is kept."""
        with contextlib.suppress(NbAuthError):  # settings that lead nowhere keep nobody
            self._keeping.fetch_all(self._persist())
        return self._cache.accounts()

    def use(self, account: Account | str) -> Account:
        """Make an account the one that is used when none is named. Raises ``NotSignedIn``."""
        self.all()
        key = self._cache.named(account)
        self._cache.current[key[:2]] = key
        self._keep_current(key[:2])
        self._changed()
        return self._cache.signed_in[key].account

    def sign_out(
        self,
        account: Account | str | None,
        current: Callable[[], AccountKey | None],
        *,
        all: bool = False,
        revoke: bool = False,
        forget: bool = False,
    ) -> list[SignedIn]:
        """Forget an account, or all, with every token; returns what was known.

        Args:
            account: the one, or ``None`` for the only current one, else for what ``current`` gives.
            all: everybody.
            revoke: also withdraw the sign-in at the provider (RFC 7009), where it offers that.
            forget: everybody, and everything that is kept beyond this kernel, and its key.

        Raises ``NotSignedIn`` for an account that isn't.
        """
        if account is not None or all or forget:
            self.all()
        if all or forget:
            keys = list(self._cache.signed_in)
        elif account is not None:
            keys = [self._cache.named(account)]
        elif len(self._cache.current) == 1:
            keys = list(self._cache.current.values())
        else:
            its_own = current()
            keys = [its_own] if its_own else []
        gone = []
        for key in keys:
            record = self._cache.remove(key)
            if record is None:
                continue
            gone.append(record)
            if record.keeper is not None:
                record.keeper.forget(key)
            if revoke:
                self._revoke(key, record)
        for client in {key[:2] for key in keys}:
            self._keep_current(client)
        if forget:
            self._keeping.forget()
        self._changed()
        return gone

    def _keep_current(self, client: tuple[str, str]) -> None:
        """Let the next kernel begin with the account that is current here, if it is kept."""
        key = self._cache.current.get(client)
        record = self._cache.signed_in.get(key) if key else None
        if key and record and record.keeper is not None:
            record.keeper.used(key)

    def _revoke(self, key: AccountKey, record: SignedIn) -> None:
        engine = self._engines.of(self._engines.client(key[:2]))
        for grant in record.grants:
            if grant.refresh_token:
                try:
                    offered = engine.revoke(grant.refresh_token)
                except NbAuthError as error:
                    self._say(f"{record.account.username}: not revoked at the provider: {error}")
                    return
                if not offered:
                    self._say("This provider offers no revocation; the tokens here are gone.")
                    return
