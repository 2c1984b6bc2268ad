"""Which accounts a text may mean, found without going through all of them."""

from __future__ import annotations

from collections.abc import Iterable

from nbauth.core.account import AccountKey


class Names:
    """The keys of accounts by their home account ids and by every name that they have.

    Changes are made under the lock of the cache; looking needs none.
    """

    def __init__(self) -> None:
        self._keys: dict[str, tuple[AccountKey, ...]] = {}

    def add(self, key: AccountKey, names: Iterable[str]) -> None:
        """These may mean it. A name that it had before still does; who looks compares."""
        for name in (key.home_account_id.casefold(), *names):
            keys = self.meant_by(name)
            if key not in keys:
                self._keys[name] = (*keys, key)

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
