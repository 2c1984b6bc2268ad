"""Which accounts a text may mean, found without going through all of them."""

from __future__ import annotations

from nbauth.core.account import Account, AccountKey


class Names:
    """The keys of accounts by their user names and home account ids.

    Changes are made under the lock of the cache; looking needs none.
    """

    def __init__(self) -> None:
        self._keys: dict[str, tuple[AccountKey, ...]] = {}

    def add(self, account: Account) -> None:
        """Its names may mean it. A name that it had before still does; who looks compares."""
        for name in (account.home_account_id.casefold(), account.username.casefold()):
            keys = self.meant_by(name)
            if account.key not in keys:
                self._keys[name] = (*keys, account.key)

    def remove(self, key: AccountKey) -> None:
        """No name means it any more."""
        for name in [name for name, keys in self._keys.items() if key in keys]:
            others = tuple(other for other in self._keys[name] if other != key)
            if others:
                self._keys[name] = others
            else:
                del self._keys[name]

    def meant_by(self, text: str) -> tuple[AccountKey, ...]:
        """Whom a text may mean; the case of a home account id, which matters, is not looked at."""
        return self._keys.get(text.casefold(), ())
