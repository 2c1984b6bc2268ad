"""The open stores: one for each kind of persistence, opened when first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbauth.core.errors import PersistenceError
from nbauth.core.person import Notices
from nbauth.kernel.accounts.account_store import AccountStore
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.passphrase_prompt import PassphrasePrompt

if TYPE_CHECKING:
    from nbauth.kernel.accounts.records import Clients
    from nbauth.persistence.protocol import Persistence

MEMORY = "memory"
NOT_OF_THE_STORE = frozenset({"being_opened", "not_asked"})
"""The codes of errors that do not concern the store: another thread is asking, or this call may
not ask."""


class OpenStores:
    """Opens the stores and has one ``AccountStore`` for each.

    Args:
        cache: of this kernel.
        notices: tells the person about problems.
        prompt: asks for a passphrase.
        clients: finds the client of an account that was not requested by a call.
    """

    def __init__(
        self, cache: TokenCache, notices: Notices, prompt: PassphrasePrompt, clients: Clients
    ) -> None:
        self._cache = cache
        self._notices = notices
        self._prompt = prompt
        self._clients = clients
        self._persistences: dict[str, Persistence] = {}
        self._open: dict[str, AccountStore | None] = {}
        self._lock = threading.Lock()  # for adding a store; nothing is called while it is held
        self.only_memory = False

    def get(self, kind: str, *, if_it_exists: bool = False) -> AccountStore | None:
        """The store for a ``persist`` setting; ``None`` for memory and for a store that fails.

        With ``if_it_exists``, a store without accounts is not opened or created.
        """
        if kind == MEMORY or self.only_memory:
            return None
        if kind in self._open:
            return self._open[kind]
        persistence = self._persistence(kind)
        if if_it_exists and not persistence.exists():
            return None
        try:
            persistence.open()  # one thread asks the person; others wait briefly
        except PersistenceError as error:
            self._notices.tell(f"{error} {error.hint}")
            if error.code in NOT_OF_THE_STORE:
                return None
            return self._open.setdefault(kind, None)
        store = AccountStore(persistence, self._cache, self._notices, self._clients)
        with self._lock:
            known = self._open.get(kind)
            if known is None:
                self._open[kind] = known = store
        return known

    def opened(self) -> list[AccountStore]:
        """The stores that are open."""
        return [store for store in list(self._open.values()) if store is not None]

    def is_open(self, kind: str, store: object) -> bool:
        """Whether this is the open store of that kind."""
        return self._open.get(kind) is store

    def kind_of(self, store: object) -> str | None:
        """The ``persist`` setting of an open store; ``None`` for another object."""
        opened = [kind for kind in list(self._open) if self._open.get(kind) is store]
        return opened[0] if store is not None and opened else None

    def everywhere(self) -> Iterator[AccountStore]:
        """All stores with accounts, whatever the settings say. Opens them one after the other."""
        for kind in self.kinds():
            store = self.get(kind, if_it_exists=True)
            if store is not None:
                yield store

    def kinds(self) -> list[str]:
        """The kinds that a sign-out searches, whether this kernel has used them or not."""
        from nbauth.persistence import kinds_in_use

        if self.only_memory:
            return []
        return list(dict.fromkeys((*kinds_in_use(), *self._open)))

    def retry_failed(self) -> None:
        """Try again the stores that failed to open before."""
        for kind, store in list(self._open.items()):
            if store is None:  # changed in place: another thread may open one meanwhile
                self._open.pop(kind, None)

    def forget(self) -> None:
        """Remove everything that nbauth's own stores hold, and their keys."""
        from nbauth.persistence import OURS, persistence_named

        kinds = dict.fromkeys((*OURS, *self.kinds()))
        self._open, self._persistences = {}, {}
        for kind in () if self.only_memory else kinds:
            try:
                persistence_named(kind, ask=self._prompt.ask).forget()
            except PersistenceError as error:
                self._notices.tell(f"{error} {error.hint}")

    def forked(self) -> None:
        """In a forked child: use no lock, key or connection of the parent."""
        self._lock = threading.Lock()
        self._persistences = {}
        for kind, store in self._open.items():
            if store is not None:
                store.forked(self._persistence(kind))

    def _persistence(self, kind: str) -> Persistence:
        """One object for all threads, so that only one of them asks for the passphrase."""
        from nbauth.persistence import persistence_named

        known = self._persistences.get(kind)
        return known or self._persistences.setdefault(
            kind, persistence_named(kind, ask=self._prompt.ask)
        )
