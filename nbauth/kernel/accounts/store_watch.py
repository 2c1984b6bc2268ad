"""Watches the open stores for sign-outs by other kernels, and retries failed writes."""

from __future__ import annotations

from contextlib import suppress

from nbauth.core.errors import PersistenceError
from nbauth.core.interrupts import apart
from nbauth.kernel.accounts.account_store import AccountStore
from nbauth.kernel.accounts.background import Background
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import AccountLocks
from nbauth.kernel.accounts.open_stores import OpenStores
from nbauth.kernel.accounts.passphrase_prompt import PassphrasePrompt

LOOK_EVERY = 0.5
"""Seconds until another kernel's sign-out is noticed."""


class StoreWatch:
    """Checks the open stores in a background thread while they have accounts.

    Args:
        cache: of this kernel.
        stores: the open stores.
        locks: the locks of the accounts.
        prompt: is not used for questions during a check.
    """

    def __init__(
        self, cache: TokenCache, stores: OpenStores, locks: AccountLocks, prompt: PassphrasePrompt
    ) -> None:
        self._cache = cache
        self._stores = stores
        self._account_locks = locks
        self._prompt = prompt
        self._thread = Background("nbauth-watch", self.look)
        self.in_a_child = False

    def wake(self) -> None:
        """Begin to watch, if there is an account to watch."""
        self._thread.wake()

    def stop(self) -> None:
        """Stop watching until the next :meth:`wake`."""
        self._thread.stop()

    def forked(self) -> None:
        """In a forked child: use no thread."""
        self.in_a_child = True
        self._thread = Background("nbauth-watch", lambda: None)

    def look(self) -> float | None:
        """Remove accounts that other kernels have signed out; retry failed writes."""
        return self._prompt.only_if(False, self._check_stores)

    def _check_stores(self) -> float | None:
        stores = self._stores.opened()
        for store in stores:
            for record in store.gone():
                if self._cache.remove(record.key, elsewhere=record):
                    self._cache.changed.emit()
            self._save_again(store)
        return LOOK_EVERY if any(store.watches for store in stores) else None

    def _save_again(self, store: AccountStore) -> None:
        """Retry failed writes, except for accounts being renewed or stored, which write anyway."""
        for key in store.due():
            with suppress(PersistenceError):  # another kernel has the lock
                self._account_locks.if_free(key, lambda key=key: store.keep(key))  # type: ignore[misc]
            if key not in self._cache.signed_in:
                self._cache.changed.emit()

    def save_in_a_child(self) -> None:
        """In a forked child, which has no watch thread: retry failed writes at the next look-up."""
        for store in self._stores.opened():
            if store.has_unsaved:
                apart(lambda store=store: self._save_again(store))  # type: ignore[misc]
