"""The persistences in use: opened when first needed, watched while they keep somebody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey, Asked, ClientKey
from nbauth.core.errors import PersistenceError
from nbauth.core.interrupts import apart
from nbauth.core.person import Notices, Person
from nbauth.kernel.accounts.asking import Asking, Found
from nbauth.kernel.accounts.background import Background
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import Turns
from nbauth.kernel.accounts.keeper import Keeper
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.grants import Grant
    from nbauth.kernel.accounts.records import Clients
    from nbauth.persistence.protocol import Persistence

MEMORY = "memory"
PASSING = frozenset({"being_opened", "not_asked"})
"""The codes of errors that say nothing of the store: another thread asks, or this call may not."""
LOOK_EVERY = 0.5
"""Seconds after which another kernel's sign-out is seen."""


class Keeping:
    """Keeps what is signed in, as the ``persist`` setting says; in this kernel alone by default.

    Args:
        cache: this kernel's.
        person: who is told what goes wrong, and asked for a passphrase.
        clients: finds the client of an account that nobody has asked for.
        turns: the accounts'.
    """

    def __init__(self, cache: TokenCache, person: Person, clients: Clients, turns: Turns) -> None:
        self._cache = cache
        self._turns = turns
        self._notices = Notices(person)
        self._clients = clients
        self._names_known: set[tuple[str, ClientKey]] = set()
        self._stores: dict[str, Persistence] = {}
        self._asking = Asking(person)
        self._keepers: dict[str, Keeper | None] = {}
        self._lock = threading.Lock()  # of a keeper's coming; nothing is called while it is held
        self._watch = Background("nbauth-watch", self._look)
        self._in_a_child = False

    def prepare(self, client: Client) -> None:
        """Open what a sign-in will be kept in, while the person can be asked for a passphrase.

        One that could not be opened before is tried anew.
        """
        self.try_anew()
        self._of(client.settings.persist)

    def try_anew(self) -> None:
        """What could not be opened before is tried anew."""
        for kind, keeper in list(self._keepers.items()):
            if keeper is None:  # in place: another thread may open one meanwhile
                self._keepers.pop(kind, None)

    def begin_sign_out(self) -> None:
        """The same; and what goes wrong now is told, whatever was told before."""
        self._notices.begin_anew()
        self.try_anew()

    def open(self, client: Client) -> None:
        """Open what a client's sign-ins are kept in, if anybody is, where a person can be asked."""
        self._of(client.settings.persist, if_it_exists=True)

    def asking_nobody(self, act: Callable[[], Found]) -> Found:
        """What an act gives that opens no store for which a passphrase is needed; that is said."""
        return self._asking.only_if(False, act)

    def look_again(self) -> None:
        """Read the names of who is kept anew: a cell begins."""
        self._names_known = set()

    def find(
        self, client: Client, asked: Asked | None = None, *, may_ask: bool = True
    ) -> AccountKey | None:
        """A client's account, also one that another kernel has signed in, or yesterday's.

        Before the first one by name all that are kept of the client are read: two may share it.
        Without ``may_ask`` nobody is asked for a passphrase.
        """
        if self._in_a_child:
            self._save_in_a_child()
        kind = client.settings.persist
        by_name = isinstance(asked, str) and kind != MEMORY
        if not by_name or (kind, client.key) in self._names_known:
            key = self._cache.find(client.key, asked)  # at once: it is called for every token
            if key is not None:
                return key
        return self._asking.only_if(may_ask, lambda: self._find(client, asked))

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
        """Bring everybody into the cache who is kept in these kinds of persistence."""
        for kind in dict.fromkeys(kinds):
            keeper = self._of(kind, if_it_exists=True)
            if keeper is not None:
                keeper.fetch_all()
                self._watch.wake()

    def fetch_everybody(self) -> None:
        """The same, wherever they are kept and whatever the setting says now.

        One that could not be opened before is tried anew, and said anew.
        """
        self.try_anew()
        self.fetch_all(*self._everywhere())

    def grants_of(self, key: AccountKey) -> list[Grant]:
        """All grants that are kept of an account, wherever that is, as they stand there now."""
        grants: list[Grant] = []
        for kind in self._everywhere():
            keeper = self._of(kind, if_it_exists=True)
            if keeper is not None:
                grants += keeper.grants_of(key)
        return grants

    @contextmanager
    def leaving(self, key: AccountKey) -> Iterator[None]:
        """While an account is signed out here, nobody reads it from any keeper again."""
        with ExitStack() as stack:
            for keeper in list(self._keepers.values()):
                if keeper is not None:
                    stack.enter_context(keeper.leaving(key))
            yield

    def keep(self, client: Client, key: AccountKey) -> bool:
        """Keep who has signed in: where that is done already, else as the setting says.

        Gives whether what the setting wants was done; if not, the person has been told why.
        """
        record, kind = self._cache.signed_in.get(key), client.settings.persist
        keeper = (record and record.keeper) or self._of(kind)
        if keeper is None:
            return kind == MEMORY
        with self._turns.of(key), self._turns.held_by_me(key):
            kept = keeper.keep(key)
        self._watch.wake()  # after it: with nothing to watch its thread ends
        elsewhere = keeper is not self._keepers.get(kind)
        if record is not None and elsewhere and "persist" in client.settings.sources:
            self._notices.tell(
                f"{record.account.username} is kept in {keeper.kept} already, and goes on to be:"
                " %logout first to change that."
            )
        return kept

    def keep_anew(self, key: AccountKey) -> None:
        """Write an account anew, if it is kept anywhere."""
        record = self._cache.signed_in.get(key)
        if record is not None and record.keeper is not None:
            with self._turns.of(key), self._turns.held_by_me(key):
                record.keeper.keep(key)

    def clear(self, key: AccountKey) -> None:
        """Remove what is kept of an account, wherever that is."""
        for kind in self._everywhere():
            keeper = self._of(kind, if_it_exists=True)
            if keeper is not None:
                keeper.forget(key)

    def _everywhere(self) -> list[str]:
        """Where a sign-out looks, whether this kernel has used it or not."""
        from nbauth.persistence import kinds_in_use

        return list(dict.fromkeys((*kinds_in_use(), *self._keepers)))

    def forget(self) -> None:
        """Remove all that is kept by any persistence of ours, and what it is kept with."""
        from nbauth.persistence import OURS, persistence_named

        self.rest()
        kinds = dict.fromkeys((*OURS, *self._everywhere()))
        self._keepers, self._stores, self._names_known = {}, {}, set()
        for kind in kinds:
            try:
                persistence_named(kind, ask=self._asking.ask).forget()
            except PersistenceError as error:
                self._notices.tell(f"{error} {error.hint}")

    def rest(self) -> None:
        """Watch no more, until somebody is kept again."""
        self._watch.stop()

    def forked(self) -> None:
        """In a forked child: no lock, key or connection of the parent's is used."""
        self._lock = threading.Lock()
        self._names_known, self._stores = set(), {}
        self._in_a_child = True
        self._watch = Background("nbauth-watch", lambda: None)
        for kind, keeper in self._keepers.items():
            if keeper is not None:
                keeper.forked(self._store(kind))

    def _of(self, kind: str, *, if_it_exists: bool = False) -> Keeper | None:
        """The keeper for a ``persist`` setting; ``None`` for memory, also where that is all.

        ``if_it_exists`` is for who only looks: where nobody is kept, nothing is made to keep them.
        """
        if kind == MEMORY:
            return None
        if kind in self._keepers:
            return self._keepers[kind]
        store = self._store(kind)
        if if_it_exists and not store.exists():
            return None
        try:
            store.open()  # one thread asks the person; others wait for its end, but not for long
        except PersistenceError as error:
            self._notices.tell(f"{error} {error.hint}")
            if error.code in PASSING:
                return None
            return self._keepers.setdefault(kind, None)
        keeper = Keeper(store, self._cache, self._notices, self._clients)
        with self._lock:
            known = self._keepers.get(kind)
            if known is None:
                self._keepers[kind] = known = keeper
        return known

    def _store(self, kind: str) -> Persistence:
        """The same for every thread, so that one of them asks for the passphrase."""
        from nbauth.persistence import persistence_named

        store = self._stores.get(kind)
        return store or self._stores.setdefault(kind, persistence_named(kind, ask=self._asking.ask))

    def _look(self) -> float | None:
        """Sign out here whom another kernel has signed out; write what could not be written."""
        return self._asking.only_if(False, self._looked)

    def _looked(self) -> float | None:
        keepers = [keeper for keeper in list(self._keepers.values()) if keeper is not None]
        for keeper in keepers:
            for record in keeper.gone():
                if self._cache.remove(record.key, elsewhere=record):
                    self._cache.changed.emit()
            self._save_again(keeper)
        return LOOK_EVERY if any(keeper.watches for keeper in keepers) else None

    def _save_again(self, keeper: Keeper) -> None:
        """Who is being renewed or kept now is left alone: that ends with a save."""
        for key in keeper.due():
            with suppress(PersistenceError):  # another kernel is at it
                self._turns.unless_taken(key, lambda key=key: keeper.keep(key))  # type: ignore[misc]
            if key not in self._cache.signed_in:
                self._cache.changed.emit()

    def _save_in_a_child(self) -> None:
        """A forked child, which has no watch, writes what it could not write when it looks next."""
        for keeper in list(self._keepers.values()):
            if keeper is not None and keeper.has_unsaved:
                apart(lambda keeper=keeper: self._save_again(keeper))  # type: ignore[misc]

    def _found(self) -> None:
        self._cache.changed.emit()
        self._cache.renewed.emit()
