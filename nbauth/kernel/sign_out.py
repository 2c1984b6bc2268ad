"""Whom a call signs out, and which sign-ins under way end with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nbauth.core.account import Account, AccountKey, Asked, is_account
from nbauth.core.errors import NbAuthError
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.registry import Accounts
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.door import Door
from nbauth.kernel.sign_in.attempts import Attempts
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.attempt import SignIn


class SignOut:
    """Signs out.

    Args:
        door: reads which client a call names.
        cache, accounts: who is signed in.
        attempts: the sign-ins under way.
    """

    def __init__(
        self, door: Door, cache: TokenCache, accounts: Accounts, attempts: Attempts
    ) -> None:
        self._door = door
        self._cache = cache
        self._accounts = accounts
        self._attempts = attempts

    def of(
        self,
        account: Asked | None,
        *,
        all: bool = False,
        revoke: bool = False,
        forget: bool = False,
        **call: Any,
    ) -> list[SignedIn]:
        """Sign out as a call asks for it; see ``Session.logout``."""
        self._accounts.begin_sign_out()
        if all or forget:
            self._attempts.cancel()
            keys = self._accounts.everybody()
        elif account is not None:
            keys = [self._accounts.the_one(self._door.client_named(**call), account)]
            self._attempts.cancel(partial(_asks_for, self._cache.account(keys[0])))
        else:
            keys = self._current(self._door.client_named(**call))
        return self._accounts.sign_out(keys, revoke=revoke, forget=forget)

    def _current(self, named: Client | None) -> list[AccountKey]:
        """Whom a bare sign-out means: the current account of the named or present client.

        Where that has none, the only account that is current at all.
        """
        try:
            client = named or self._door.client()
        except NbAuthError:  # settings that lead nowhere
            self._attempts.cancel()
            key = None
        else:
            self._attempts.cancel(lambda pending: pending.request.client.key == client.key)
            key = self._accounts.current(client)
        current = list(self._cache.current.values())
        if key is None and named is None and len(current) == 1:
            key = current[0]
        return [] if key is None else [key]


def _asks_for(account: Account | None, pending: SignIn) -> bool:
    """Whether a sign-in under way is for an account by name."""
    asked = pending.request.asked
    if account is None or asked is None or pending.request.client.key != account.key.client:
        return False
    return is_account(account, asked)
