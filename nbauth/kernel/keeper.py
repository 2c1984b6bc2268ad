"""Between this kernel's cache and what outlives it: one kept record an account.

Nothing is kept, and nothing of this is touched, while ``persist`` is ``memory``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nbauth.core.accounts import Account
from nbauth.core.errors import PersistenceError
from nbauth.kernel.cache import AccountKey, TokenCache, is_account

if TYPE_CHECKING:
    from nbauth.persistence import Entry, Persistence


class Keeper:
    """One persistence, and which accounts of the cache are kept in it.

    Args:
        store: where they are kept; open already.
        cache: this kernel's.
        tell: a sentence to the person; each is told once.
    """

    def __init__(self, store: Persistence, cache: TokenCache, tell: Callable[[str], None]) -> None:
        self.store = store
        self.kept = store.kept
        self._cache = cache
        self._tell = tell
        self._stamps: dict[AccountKey, object] = {}

    def fetch(self, client: tuple[str, str], account: Account | str | None = None) -> bool:
        """Bring an account of a client into the cache: the named one, else the last one used."""
        with self._telling():
            used_last = self.store.current(*client)  # also if another is named: it stays current
            found = used_last is not None and self._restore((*client, used_last.account))
            if account is None:
                return found
            for key in self._keys():
                if key[:2] == client and self._restore(key):
                    record = self._cache.signed_in.get(key)
                    if record is not None and is_account(record.account, account):
                        return True
        return False

    def fetch_all(self) -> None:
        """Bring every account that is kept into the cache."""
        with self._telling():
            keys = self._keys()
            clients = dict.fromkeys(key[:2] for key in keys)
            used_last = {self.store.current(*client) for client in clients}
            for key in sorted(keys, key=lambda key: _entry(key) not in used_last):
                self._restore(key)

    def keep(self, key: AccountKey) -> None:
        """Write what the cache has of an account, and make it the one used last."""
        record = self._cache.signed_in.get(key)
        if record is None:
            return
        record.keeper = self
        if self._save(key, only_if_there=False):
            with self._telling():
                self.store.use(_entry(key))

    def used(self, key: AccountKey) -> None:
        """Remember it as the one used last."""
        with self._telling():
            self.store.use(_entry(key))

    @contextmanager
    def refreshing(self, key: AccountKey) -> Iterator[bool]:
        """Hold other kernels off while this one refreshes, and see what they did before.

        Gives ``False`` if the account has been signed out meanwhile.
        """
        with ExitStack() as stack:
            with self._telling():  # without the lock, where there is none, after it was said why
                stack.enter_context(self.store.refreshing(_entry(key)))
            yield self._up_to_date(key)

    def refreshed(self, key: AccountKey) -> bool:
        """Write what a refresh brought, unless the account has been signed out meanwhile."""
        return self._save(key, only_if_there=key in self._stamps)

    def forget(self, key: AccountKey) -> None:
        """Take an account out. Waits for nobody; a refresh in flight can't bring it back."""
        self._stamps.pop(key, None)
        with self._telling():
            self.store.clear(_entry(key))

    def gone(self) -> list[AccountKey]:
        """The accounts that another kernel has signed out."""
        with self._telling():
            return [key for key in list(self._stamps) if self.store.stamp(_entry(key)) is None]
        return []

    def let_go(self, key: AccountKey) -> None:
        """Watch it no more."""
        self._stamps.pop(key, None)

    @property
    def watches(self) -> bool:
        """Whether an account of the cache is kept here."""
        return bool(self._stamps)

    def _up_to_date(self, key: AccountKey) -> bool:
        with self._telling():
            stamp = self.store.stamp(_entry(key))
            if key in self._stamps and stamp is None:
                return False
            if stamp != self._stamps.get(key):
                self._restore(key)
        return True

    def _restore(self, key: AccountKey) -> bool:
        from nbauth.kernel.records import UnreadableRecord, decode

        stamp = self.store.stamp(_entry(key))
        here = self._cache.signed_in.get(key)
        if here is not None and (here.keeper is not self or stamp == self._stamps.get(key)):
            return True  # a sign-in of this kernel's own is not older than what was kept once
        data = self.store.load(_entry(key))
        if data is None:
            return False
        try:
            record, tokens = decode(data, key)
        except UnreadableRecord as error:
            self._tell(f"A kept sign-in was left alone: {error}.")
            return False
        record.keeper = self
        self._cache.restore(key, record, tokens)
        self._stamps[key] = stamp
        return True

    def _save(self, key: AccountKey, *, only_if_there: bool) -> bool:
        from nbauth.kernel.records import encode

        record = self._cache.signed_in.get(key)
        if record is None:
            return False
        tokens = {
            known[3]: token for known, token in list(self._cache.tokens.items()) if known[:3] == key
        }
        data = encode(record, tokens)
        with self._telling():
            if not self.store.save(_entry(key), data, only_if_there=only_if_there):
                return False
            self._stamps[key] = self.store.stamp(_entry(key))
        return True

    def _keys(self) -> list[AccountKey]:
        return [(entry.issuer, entry.client_id, entry.account) for entry in self.store.entries()]

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell what goes wrong, and go on in memory."""
        try:
            yield
        except PersistenceError as error:
            self._tell(f"{error} {error.hint}")
        finally:
            while self.store.notices:
                self._tell(self.store.notices.pop(0))


def _entry(key: AccountKey) -> Entry:
    from nbauth.persistence import Entry

    return Entry(*key)
