"""Finds accounts in the stores, and stores and removes them there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey, Asked, ClientKey
from nbauth.core.person import Notices, Person
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import AccountLocks
from nbauth.kernel.accounts.open_stores import MEMORY, OpenStores
from nbauth.kernel.accounts.passphrase_prompt import Found, PassphrasePrompt
from nbauth.kernel.accounts.store_watch import StoreWatch
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.grants import Grant
    from nbauth.kernel.accounts.records import Clients


class StoredAccounts:
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
        self._names_known: set[tuple[str, ClientKey]] = set()
        self._passphrase_prompt = PassphrasePrompt(person)
        self._stores = OpenStores(cache, self._notices, self._passphrase_prompt, clients)
        self._watch = StoreWatch(cache, self._stores, locks, self._passphrase_prompt)

    def use_only_memory(self) -> None:
        """Read and change no store from now on."""
        self._stores.only_memory = True

    def prepare(self, client: Client) -> None:
        """Open the store for a sign-in while the person can still be asked for a passphrase.

        Stores that failed to open before are tried again.
        """
        self._stores.retry_failed()
        self._stores.get(client.settings.persist)

    def begin_sign_out(self) -> None:
        """Try them again, and report problems even if they were reported before."""
        self._notices.begin_anew()
        self._stores.retry_failed()

    def open(self, client: Client) -> None:
        """Open the store of a client's sign-ins, if it holds any, while a person can be asked."""
        self._stores.get(client.settings.persist, if_it_exists=True)

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
        if self._watch.in_a_child:
            self._watch.save_in_a_child()
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
            store = self._stores.get(client.settings.persist, if_it_exists=True)
            if store is not None and store.fetch(client, asked):
                self._watch.wake()
                self._found()
                key = self._cache.find(client.key, asked)
        return key

    def _read_names(self, client: Client) -> None:
        where = client.settings.persist, client.key
        if where in self._names_known:
            return
        store = self._stores.get(client.settings.persist, if_it_exists=True)
        if store is not None:
            self._names_known.add(where)
            if store.fetch_of(client):
                self._watch.wake()
                self._found()

    def fetch_all(self, *kinds: str) -> None:
        """Read all accounts in these kinds of persistence into the cache."""
        for kind in dict.fromkeys(kinds):
            store = self._stores.get(kind, if_it_exists=True)
            if store is not None:
                store.fetch_all()
                self._watch.wake()

    def fetch_everybody(self) -> None:
        """Read all accounts from every store, whatever the settings say.

        Stores that failed to open before are tried again, and a failure is reported again.
        """
        self._stores.retry_failed()
        self.fetch_all(*self._stores.kinds())

    def grants_of(self, key: AccountKey) -> list[Grant]:
        """All stored grants of an account, from every store, read now."""
        grants: list[Grant] = []
        for store in self._stores.everywhere():
            grants += store.grants_of(key)
        return grants

    @contextmanager
    def signing_out(self, key: AccountKey) -> Iterator[None]:
        """While an account is being signed out here, do not read it from any store again."""
        with ExitStack() as stack:
            for store in self._stores.opened():
                stack.enter_context(store.signing_out(key))
            yield

    def keep(self, client: Client, key: AccountKey) -> bool:
        """Store a sign-in: in the store that has the account, else as the setting says.

        Returns whether the setting was followed; if not, the person has been told why.
        """
        record, kind = self._cache.signed_in.get(key), client.settings.persist
        store = (record and record.store) or self._stores.get(kind)
        if store is None:
            return kind == MEMORY
        with self._account_locks.of(key), self._account_locks.held_by_me(key):
            kept = store.keep(key)
        self._watch.wake()  # afterwards: the thread ends if there is nothing to watch
        elsewhere = not self._stores.is_open(kind, store)
        if record is not None and elsewhere and "persist" in client.settings.sources:
            self._notices.tell(
                f"{record.account.username} is already stored in {store.kept} and stays there."
                " To change that, run %logout first."
            )
        return kept

    def kind_of(self, key: AccountKey) -> str | None:
        """The ``persist`` setting of the store that has an account; ``None`` for none."""
        record = self._cache.signed_in.get(key)
        return None if record is None else self._stores.kind_of(record.store)

    def store_again(self, key: AccountKey) -> None:
        """Store an account again, if it is stored anywhere."""
        record = self._cache.signed_in.get(key)
        if record is not None and record.store is not None:
            with self._account_locks.of(key), self._account_locks.held_by_me(key):
                record.store.keep(key)

    def clear(self, key: AccountKey) -> None:
        """Remove an account from every store."""
        for store in self._stores.everywhere():
            store.forget(key)

    def forget(self) -> None:
        """Remove everything that nbauth's own stores hold, and their keys."""
        self.rest()
        self._names_known = set()
        self._stores.forget()

    def rest(self) -> None:
        """Stop watching until an account is stored again."""
        self._watch.stop()

    def forked(self) -> None:
        """In a forked child: use no lock, key, connection or thread of the parent."""
        self._names_known = set()
        self._watch.forked()
        self._stores.forked()

    def _found(self) -> None:
        self._cache.changed.emit()
        self._cache.renewed.emit()
