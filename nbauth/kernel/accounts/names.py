"""Finds the account that a name or key means, without searching all accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbauth.core.account import (
    Account,
    AccountKey,
    Asked,
    ClientKey,
    check_asked,
    is_account,
    the_only_one,
)
from nbauth.kernel.accounts.signed_in import SignedIn


class Names:
    """Keys of accounts by home account id and by every name.

    Changed under the lock of the cache; look-ups need no lock.

    Args:
        signed_in: the signed-in accounts, read at each look-up.
    """

    def __init__(self, signed_in: Mapping[AccountKey, SignedIn]) -> None:
        self._signed_in = signed_in
        self._keys: dict[str, tuple[AccountKey, ...]] = {}

    def add(self, key: AccountKey, names: Iterable[str]) -> None:
        """Add names of an account. Earlier names stay; a look-up compares with the account."""
        for name in (key.home_account_id.casefold(), *names):
            keys = self.meant_by(name)
            if key not in keys:
                self._keys[name] = (*keys, key)

    def remove(self, key: AccountKey) -> None:
        """Remove all names of an account."""
        for name in [name for name, keys in self._keys.items() if key in keys]:
            others = tuple(other for other in self._keys[name] if other != key)
            if others:
                self._keys[name] = others
            else:
                del self._keys[name]

    def only(self, asked: Asked, client: ClientKey | None = None) -> AccountKey | None:
        """Return the one account that is meant, of one client or of any.

        Raises ``ConfigurationError`` for a name that several of them share.
        """
        if isinstance(asked, str):
            keys = self.meant_by(asked)
            if len(keys) == 1:  # nearly always
                return self._if_asked_for(keys[0], asked, client)
            found = self._called(asked, client)
        else:
            check_asked(asked)
            one = self._signed_in.get(asked if isinstance(asked, AccountKey) else asked.key)
            found = [] if one is None else [one.account]
        the_only_one(asked, found)
        return found[0].key if found else None

    def _if_asked_for(
        self, key: AccountKey, name: str, client: ClientKey | None
    ) -> AccountKey | None:
        one = self._signed_in.get(key)
        if one is None or (client is not None and key.client != client):
            return None
        return key if one.is_asked_for(name) else None

    def _called(self, name: str, client: ClientKey | None) -> list[Account]:
        """Accounts with this user name or home account id; else those with it as another name."""
        known = [self._signed_in.get(key) for key in self.meant_by(name)]
        of_client = [one for one in known if one is not None and client in (None, one.key.client)]
        exactly = [one.account for one in of_client if is_account(one.account, name)]
        return exactly or [one.account for one in of_client if one.is_asked_for(name)]

    def meant_by(self, text: str) -> tuple[AccountKey, ...]:
        """The accounts that a text may mean. Ignores case, though home account ids depend on it."""
        return self._keys.get(text.casefold(), ())
