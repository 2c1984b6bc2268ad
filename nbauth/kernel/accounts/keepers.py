"""The stores in use: opened when first needed, watched while they hold an account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey, Asked, ClientKey
from nbauth.core.errors import PersistenceError
from nbauth.core.interrupts import apart
from nbauth.core.person import Notices, Person
from nbauth.kernel.accounts.background import Background
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import AccountLocks
from nbauth.kernel.accounts.keeper import Keeper
from nbauth.kernel.accounts.passphrase_prompt import Found, PassphrasePrompt
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.grants import Grant
    from nbauth.kernel.accounts.records import Clients
    from nbauth.persistence.protocol import Persistence

MEMORY = "memory"
NOT_OF_THE_STORE = frozenset({"being_opened", "not_asked"})
"""The codes of errors that do not concern the store: another thread is asking, or this call may
not ask."""
LOOK_EVERY = 0.5
"""Seconds until another kernel's sign-out is noticed."""


class Keepers:
    """Stores sign-ins as the ``persist`` setting says; by default in this kernel's memory only.

    Args:
        cache: of this kernel.
        person: is told about problems, and asked for a passphrase.
        clients: finds the client of an account that was not requested by a call.
        locks: the locks of the accounts.
    """

    def __init__(
        self, cache: TokenCache, person: Person, clients: Clients, locks: AccountLocks
    ) -> None:
        self._cache = cache
        self._account_locks = locks
        self._notices = Notices(person)
        self._clients = clients
        self._names_known: set[tuple[str, ClientKey]] = set()
        self._stores: dict[str, Persistence] = {}
        self._passphrase_prompt = PassphrasePrompt(person)
        self._keepers: dict[str, Keeper | None] = {}
        self._lock = threading.Lock()  # for adding a keeper; nothing is called while it is held
        self._watch = Background("nbauth-watch", self._look)
        self._in_a_child = False

    def prepare(self, client: Client) -> None:
        """Open the store for a sign-in while the person can still be asked for a passphrase.

        Stores that failed to open before are tried again.
        """
        self.retry_failed()
        self._of(client.settings.persist)

    def retry_failed(self) -> None:
        """Try again the stores that failed to open before."""
        for kind, keeper in list(self._keepers.items()):
            if keeper is None:  # changed in place: another thread may open one meanwhile
                self._keepers.pop(kind, None)

    def begin_sign_out(self) -> None:
        """Try them again, and report problems even if they were reported before."""
        self._notices.begin_anew()
        self.retry_failed()

    def open(self, client: Client) -> None:
        """Open the store of a client's sign-ins, if it holds any, while a person can be asked."""
        self._of(client.settings.persist, if_it_exists=True)

    def asking_nobody(self, act: Callable[[], Found]) -> Found:
        """Call ``act`` without asking for a passphrase; a store that needs one is reported."""
        return self._passphrase_prompt.only_if(False, act)

    def look_again(self) -> None:
        """A cell begins: read the names of stored accounts again when needed."""
        self._names_known = set()

    def find(
        self, client: Client, asked: Asked | None = None, *, may_ask: bool = True
    ) -> AccountKey | None:
        """Return a client's account, also one that another kernel or an earlier one has stored.

        Before the first look-up by name, all stored accounts of the client are read: two may share
        the name. With ``may_ask=False``, nobody is asked for a passphrase.
        """
        if self._in_a_child:
            self._save_in_a_child()
        kind = client.settings.persist
        by_name = isinstance(asked, str) and kind != MEMORY
        if not by_name or (kind, client.key) in self._names_known:
            key = self._cache.find(client.key, asked)  # fast path: this runs for every token
            if key is not None:
                return key
        return self._passphrase_prompt.only_if(may_ask, lambda: self._find(client, asked))

    def _find(self, client: Client, asked: Asked | None) -> AccountKey | None:
        if isinstance(asked, str) and client.settings.persist != MEMORY:
            self._read_names(client)
        key = self._cache.find(client.key, asked)
        if key is None:
            keeper = self._of(client.settings.persist, if_it_exists=True)
            if keeper is not None and keeper.fetch(client, asked):
                self._watch.wake()
                self._found()
                key = self._cache.find(client.key, asked)
        return key

    def _read_names(self, client: Client) -> None:
        where = client.settings.persist, client.key
        if where in self._names_known:
            return
        keeper = self._of(client.settings.persist, if_it_exists=True)
        if keeper is not None:
            self._names_known.add(where)
            if keeper.fetch_of(client):
                self._watch.wake()
                self._found()

    def fetch_all(self, *kinds: str) -> None:
        """Read all accounts in these kinds of persistence into the cache."""
        for kind in dict.fromkeys(kinds):
            keeper = self._of(kind, if_it_exists=True)
            if keeper is not None:
                keeper.fetch_all()
                self._watch.wake()

    def fetch_everybody(self) -> None:
        """Read all accounts from every store, whatever the settings say.

        Stores that failed to open before are tried again, and a failure is reported again.
        """
        self.retry_failed()
        self.fetch_all(*self._everywhere())

    def grants_of(self, key: AccountKey) -> list[Grant]:
        """All stored grants of an account, from every store, read now."""
        grants: list[Grant] = []
        for kind in self._everywhere():
            keeper = self._of(kind, if_it_exists=True)
            if keeper is not None:
                grants += keeper.grants_of(key)
        return grants

    @contextmanager
    def signing_out(self, key: AccountKey) -> Iterator[None]:
        """While an account is being signed out here, do not read it from any store again."""
        with ExitStack() as stack:
            for keeper in list(self._keepers.values()):
                if keeper is not None:
                    stack.enter_context(keeper.signing_out(key))
            yield

    def keep(self, client: Client, key: AccountKey) -> bool:
        """Store a sign-in: in the store that has the account, else as the setting says.

        Returns whether the setting was followed; if not, the person has been told why.
        """
        record, kind = self._cache.signed_in.get(key), client.settings.persist
        keeper = (record and record.keeper) or self._of(kind)
        if keeper is None:
            return kind == MEMORY
        with self._account_locks.of(key), self._account_locks.held_by_me(key):
            kept = keeper.keep(key)
        self._watch.wake()  # afterwards: the thread ends if there is nothing to watch
        elsewhere = keeper is not self._keepers.get(kind)
        if record is not None and elsewhere and "persist" in client.settings.sources:
            self._notices.tell(
                f"{record.account.username} is already stored in {keeper.kept} and stays there."
                " To change that, run %logout first."
            )
        return kept

    def store_again(self, key: AccountKey) -> None:
        """Store an account again, if it is stored anywhere."""
        record = self._cache.signed_in.get(key)
        if record is not None and record.keeper is not None:
            with self._account_locks.of(key), self._account_locks.held_by_me(key):
                record.keeper.keep(key)

    def clear(self, key: AccountKey) -> None:
        """Remove an account from every store."""
        for kind in self._everywhere():
            keeper = self._of(kind, if_it_exists=True)
            if keeper is not None:
                keeper.forget(key)

    def _everywhere(self) -> list[str]:
        """The stores that a sign-out searches, whether this kernel has used them or not."""
        from nbauth.persistence import kinds_in_use

        return list(dict.fromkeys((*kinds_in_use(), *self._keepers)))

    def forget(self) -> None:
        """Remove everything that nbauth's own stores hold, and their keys."""
        from nbauth.persistence import OURS, persistence_named

        self.rest()
        kinds = dict.fromkeys((*OURS, *self._everywhere()))
        self._keepers, self._stores, self._names_known = {}, {}, set()
        for kind in kinds:
            try:
                persistence_named(kind, ask=self._passphrase_prompt.ask).forget()
            except PersistenceError as error:
                self._notices.tell(f"{error} {error.hint}")

    def rest(self) -> None:
        """Stop watching until an account is stored again."""
        self._watch.stop()

    def forked(self) -> None:
        """In a forked child: use no lock, key or connection of the parent."""
        self._lock = threading.Lock()
        self._names_known, self._stores = set(), {}
        self._in_a_child = True
        self._watch = Background("nbauth-watch", lambda: None)
        for kind, keeper in self._keepers.items():
            if keeper is not None:
                keeper.forked(self._store(kind))

    def _of(self, kind: str, *, if_it_exists: bool = False) -> Keeper | None:
        """The keeper for a ``persist`` setting; ``None`` for memory and for a store that fails.

        With ``if_it_exists``, a store without accounts is not opened or created.
        """
        if kind == MEMORY:
            return None
        if kind in self._keepers:
            return self._keepers[kind]
        store = self._store(kind)
        if if_it_exists and not store.exists():
            return None
        try:
            store.open()  # one thread asks the person; others wait briefly
        except PersistenceError as error:
            self._notices.tell(f"{error} {error.hint}")
            if error.code in NOT_OF_THE_STORE:
                return None
            return self._keepers.setdefault(kind, None)
        keeper = Keeper(store, self._cache, self._notices, self._clients)
        with self._lock:
            known = self._keepers.get(kind)
            if known is None:
                self._keepers[kind] = known = keeper
        return known

    def _store(self, kind: str) -> Persistence:
        """One object for all threads, so that only one of them asks for the passphrase."""
        from nbauth.persistence import persistence_named

        store = self._stores.get(kind)
        return store or self._stores.setdefault(
            kind, persistence_named(kind, ask=self._passphrase_prompt.ask)
        )

    def _look(self) -> float | None:
        """Remove accounts that other kernels have signed out; retry failed writes."""
        return self._passphrase_prompt.only_if(False, self._check_stores)

    def _check_stores(self) -> float | None:
        keepers = [keeper for keeper in list(self._keepers.values()) if keeper is not None]
        for keeper in keepers:
            for record in keeper.gone():
                if self._cache.remove(record.key, elsewhere=record):
                    self._cache.changed.emit()
            self._save_again(keeper)
        return LOOK_EVERY if any(keeper.watches for keeper in keepers) else None

    def _save_again(self, keeper: Keeper) -> None:
        """Retry failed writes, except for accounts being renewed or stored, which write anyway."""
        for key in keeper.due():
            with suppress(PersistenceError):  # another kernel has the lock
                self._account_locks.if_free(key, lambda key=key: keeper.keep(key))  # type: ignore[misc]
            if key not in self._cache.signed_in:
                self._cache.changed.emit()

    def _save_in_a_child(self) -> None:
        """In a forked child, which has no watch thread: retry failed writes at the next look-up."""
        for keeper in list(self._keepers.values()):
            if keeper is not None and keeper.has_unsaved:
                apart(lambda keeper=keeper: self._save_again(keeper))  # type: ignore[misc]

    def _found(self) -> None:
        self._cache.changed.emit()
        self._cache.renewed.emit()
