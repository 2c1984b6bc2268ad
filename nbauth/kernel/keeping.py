"""The persistences in use: opened when first needed, watched while they keep somebody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from nbauth.core.accounts import Account
from nbauth.core.errors import PersistenceError
from nbauth.kernel.background import Background
from nbauth.kernel.cache import AccountKey, TokenCache
from nbauth.kernel.client import Client
from nbauth.kernel.keeper import Keeper

if TYPE_CHECKING:
    from nbauth.persistence import Persistence

OURS = ("keyring", "file")
"""What ``forget`` looks for, whether this kernel has used it or not."""
LOOK_EVERY = 0.5
"""Seconds after which another kernel's sign-out is seen."""


class Keeping:
    """Keeps what is signed in, as the ``persist`` setting says; in this kernel alone by default.

    Args:
        cache: this kernel's.
        say: a sentence to the person; each is said once.
        ask: asks the person for a passphrase, unseen.
        changed: called when who is signed in has changed.
    """

    def __init__(
        self,
        cache: TokenCache,
        say: Callable[[str], None],
        ask: Callable[[str], str],
        changed: Callable[[], None],
    ) -> None:
        self._cache = cache
        self._say = say
        self._ask = ask
        self._changed = changed
        self._keepers: dict[str, Keeper | None] = {}
        self._said: set[str] = set()
        self._lock = threading.Lock()
        self._watch = Background("nbauth-watch", self._look)

    def prepare(self, client: Client) -> None:
        """Open what a sign-in will be kept in, while the person can be asked for a passphrase.

        One that could not be opened before is tried anew.
        """
        with self._lock:
            self._keepers = {kind: keeper for kind, keeper in self._keepers.items() if keeper}
        self._of(client.settings.persist)

    def find(self, client: Client, account: Account | str | None = None) -> AccountKey | None:
        """A client's account, also one that another kernel has signed in, or yesterday's."""
        key = self._cache.find(client.key, account)
        if key is None:
            keeper = self._of(client.settings.persist, if_it_exists=True)
            if keeper is not None and keeper.fetch(client.key, account):
                self._watch.wake()
                self._changed()
                key = self._cache.find(client.key, account)
        return key

    def fetch_all(self, persist: str) -> None:
        """Bring everybody into the cache who is kept."""
        keeper = self._of(persist, if_it_exists=True)
        if keeper is not None:
            keeper.fetch_all()
            self._watch.wake()

    def keep(self, client: Client, key: AccountKey) -> None:
        """Keep who has signed in: where that is done already, else as the setting says."""
        record = self._cache.signed_in.get(key)
        keeper = (record and record.keeper) or self._of(client.settings.persist)
        if keeper is not None:
            keeper.keep(key)
            self._watch.wake()

    def forget(self) -> None:
        """Remove all that is kept by any persistence of ours, and what it is kept with."""
        from nbauth.persistence import persistence_named

        self.rest()
        with self._lock:
            kinds = dict.fromkeys((*OURS, *self._keepers))
            self._keepers.clear()
        for kind in kinds:
            try:
                persistence_named(kind, ask=self._ask).forget()
            except PersistenceError as error:
                self._tell(f"{error} {error.hint}")

    def rest(self) -> None:
        """Watch no more, until somebody is kept again."""
        self._watch.stop()

    def _of(self, kind: str, *, if_it_exists: bool = False) -> Keeper | None:
        """The keeper for a ``persist`` setting; ``None`` for memory, also where that is all.

        ``if_it_exists`` is for who only looks: where nobody is kept, nothing is made to keep them.
        """
        if kind == "memory":
            return None
        from nbauth.persistence import persistence_named

        with self._lock:
            if kind not in self._keepers:
                store = persistence_named(kind, ask=self._ask)
                if if_it_exists and not store.exists():
                    return None
                self._keepers[kind] = self._opened(store)
            return self._keepers[kind]

    def _opened(self, store: Persistence) -> Keeper | None:
        try:
            store.open()
        except PersistenceError as error:
            self._tell(f"{error} {error.hint}")
            return None
        return Keeper(store, self._cache, self._tell)

    def _look(self) -> float | None:
        """Sign out here whom another kernel has signed out."""
        keepers = [keeper for keeper in list(self._keepers.values()) if keeper is not None]
        for keeper in keepers:
            for key in keeper.gone():
                keeper.let_go(key)
                self._cache.remove(key)
                self._changed()
        return LOOK_EVERY if any(keeper.watches for keeper in keepers) else None

    def _tell(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)
