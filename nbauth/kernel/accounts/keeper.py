"""Between this kernel's cache and what outlives it: one kept record an account.

Nothing is kept, and nothing of this is touched, while ``persist`` is ``memory``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey, Asked
from nbauth.core.person import Notices
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.telling import failing, lock_of, telling, unreadable
from nbauth.kernel.accounts.unsaved import Unsaved
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.grants import Grant
    from nbauth.kernel.accounts.records import Clients
    from nbauth.kernel.accounts.signed_in import SignedIn
    from nbauth.persistence.protocol import Entry, Persistence

log = logging.getLogger(__name__)
UNREAD = object()
"""The stamp of what is to be read anew, whatever is there."""
PARENTS = "The sign-in of {} is not kept: only the kernel that this process was forked from can."


class Keeper:
    """One persistence, and which accounts of the cache are kept in it.

    Args:
        store: where they are kept; open already.
        cache: this kernel's.
        notices: what the person is told of it.
        clients: finds the client of an account that nobody has asked for.
    """

    def __init__(
        self, store: Persistence, cache: TokenCache, notices: Notices, clients: Clients
    ) -> None:
        self.store = store
        self.kept = store.kept
        self._cache = cache
        self._notices = notices
        self._clients = clients
        self._unsaved = Unsaved()
        self._refreshing: set[AccountKey] = set()
        self._leaving: set[AccountKey] = set()
        self._lock = threading.Lock()  # of these; only the cache is called while it is held

    def fetch(self, client: Client, asked: Asked | None = None) -> bool:
        """Bring an account of a client into the cache: the one asked for, else the last one used.

        Raises ``ConfigurationError`` for a name that several of them share.
        """
        with telling(self.store, self._notices):
            used_last = self.store.current(*client.key)  # also if another is asked for
            found = used_last is not None and self._restore(_key(used_last), client)
            if asked is None:
                return found
        self.fetch_of(client)
        return self._cache.find(client.key, asked) is not None

    def fetch_of(self, client: Client) -> bool:
        """Bring all of a client's accounts into the cache; whether there is any."""
        keys: list[AccountKey] = []
        with telling(self.store, self._notices):
            used_last = self.store.current(*client.key)
            keys = [key for key in self._keys() if key.client == client.key]
            for key in sorted(keys, key=lambda key: _entry(key) != used_last):
                self._restore(key, client)
        return bool(keys)

    def fetch_all(self) -> None:
        """Bring every account that is kept into the cache."""
        with telling(self.store, self._notices):
            keys = self._keys()
            clients = dict.fromkeys(key.client for key in keys)
            used_last = {self.store.current(*client) for client in clients}
            for key in sorted(keys, key=lambda key: _entry(key) not in used_last):
                self._restore(key)

    def keep(self, key: AccountKey) -> bool:
        """Write what the cache has of an account; its client's current one is the one used last.

        One that was kept already is no sign-in: what another kernel has cleared stays so. Gives
        whether it was done; if not, the person has been told why, and it is tried again.
        """
        record = self._cache.signed_in.get(key)
        if record is None:
            self._unsaved.done(key)
            return False
        record.keeper = self
        only_if_there = record.stamp is not None
        kept = False
        if any(grant.ours for grant in record.grants):
            self._unsaved.note(key)
        # Under the lock: another kernel's refresh would overwrite it with what it had.
        with telling(self.store, self._notices), lock_of(self.store, _entry(key), self._notices):
            self._merge(key, record)
            if any(grant.ours for grant in record.grants):
                kept = self._save(key, only_if_there=only_if_there) is True
            else:
                self._notices.tell(PARENTS.format(record.account.username))
        if self._cache.current.get(key.client) == key:
            self.used(key)
        log.debug("kept in %s: %s", self.kept, kept)
        return kept

    def used(self, key: AccountKey) -> None:
        """Remember it as the one used last."""
        with telling(self.store, self._notices):
            self.store.use(_entry(key))

    @contextmanager
    def refreshing(self, key: AccountKey) -> Iterator[None]:
        """Hold other kernels off while this one refreshes, and take in what they did before.

        Who has been signed out meanwhile is so here too. Raises ``PersistenceError`` where what is
        kept cannot be looked at: another kernel may have spent the refresh token that is here.
        """
        with lock_of(self.store, _entry(key), self._notices):
            with self._lock:
                self._refreshing.add(key)
            try:
                self._bring_up_to_date(key)
                yield
            finally:
                with self._lock:
                    self._refreshing.discard(key)

    def refreshed(self, key: AccountKey) -> bool:
        """Write what a refresh brought; ``False`` if the account has been signed out meanwhile."""
        return self._save(key, only_if_there=True) is not False

    def due(self) -> list[AccountKey]:
        """Who could not be written and is to be kept again: until then others have a spent token.

        Each is in turn for that less and less often.
        """
        return self._unsaved.due()

    @property
    def has_unsaved(self) -> bool:
        """Whether anybody is to be kept again, now or later."""
        return bool(self._unsaved)

    def grants_of(self, key: AccountKey) -> list[Grant]:
        """All grants that are kept of an account, as they stand there now."""
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        with telling(self.store, self._notices), suppress(UnreadableRecord):
            data = self.store.load(_entry(key))
            if data is not None:
                kept, _ = decode(data, key, None, self._clients)
                return [*kept.superseded, *kept.grants]
        return []

    def forget(self, key: AccountKey) -> None:
        """Take an account out. Waits for nobody; a refresh in flight can't bring it back."""
        self._unsaved.done(key)
        with telling(self.store, self._notices):
            self.store.clear(_entry(key))

    @contextmanager
    def leaving(self, key: AccountKey) -> Iterator[None]:
        """While an account is signed out here, nobody reads it from here again."""
        with self._lock:
            self._leaving.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._leaving.discard(key)
                self._cache.touch(key)

    def gone(self) -> list[SignedIn]:
        """What another kernel has signed out of the cache."""
        with telling(self.store, self._notices):
            kept = [record for record in self._mine() if record.stamp is not None]
            return [record for record in kept if self.store.stamp(_entry(record.key)) is None]
        return []

    def forked(self, store: Persistence) -> None:
        """In a forked child: go on with a persistence of its own, and read everything anew.

        But where the parent had something newer than what is kept: that is spent, until the parent
        has written its successor.
        """
        self.store = store
        for record in self._mine():
            if record.stamp is not None and all(grant.kept for grant in record.grants):
                record.stamp = UNREAD
        self._refreshing, self._leaving, self._unsaved = set(), set(), Unsaved()
        self._lock = threading.Lock()

    def keeps(self, key: AccountKey) -> bool:
        """Whether an account is kept here as the cache has it, as far as this kernel has seen."""
        record = self._cache.signed_in.get(key)
        if record is None or record.keeper is not self:
            return False
        return record.stamp is not None and not record.unsaved

    @property
    def watches(self) -> bool:
        """Whether an account of the cache is kept here, or is to be."""
        return bool(self._mine())

    def _mine(self) -> list[SignedIn]:
        return [one for one in list(self._cache.signed_in.values()) if one.keeper is self]

    def _bring_up_to_date(self, key: AccountKey) -> None:
        record = self._cache.signed_in.get(key)
        if record is None or record.keeper is not self:
            return
        if any(grant.kept for grant in record.grants):
            look = failing(self.store, self._notices)
        else:  # what was made here nobody else can have spent
            look = telling(self.store, self._notices)
        with look:
            stamp = self.store.stamp(_entry(key))
            if stamp is None and record.went_on:
                self._cache.drop_kept(record)
            if stamp == record.stamp:
                return
            if stamp is None:
                self._cache.remove(key, elsewhere=record)
            else:
                self._restore(key, in_turn=True)
        if self._cache.signed_in.get(key) is not record:  # read anew, or signed in anew meanwhile
            self._bring_up_to_date(key)

    def _restore(
        self, key: AccountKey, client: Client | None = None, *, in_turn: bool = False
    ) -> bool:
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        changes = self._cache.changes(key)
        stamp = self.store.stamp(_entry(key))
        here = self._cache.signed_in.get(key)
        if here is not None and (here.keeper is not self or stamp == here.stamp):
            return True  # a sign-in of this kernel's own is not older than what was kept once
        data = self.store.load(_entry(key))
        if data is None:
            if in_turn and self.store.stamp(_entry(key)) is not None:
                raise unreadable(self.kept)
            if in_turn and here is not None:  # signed out by another kernel just now
                self._cache.remove(key, elsewhere=here)
            return False
        try:
            record, tokens = decode(
                data, key, client or (here.client if here else None), self._clients
            )
        except UnreadableRecord as error:
            if in_turn:
                raise unreadable(self.kept) from error
            self._notices.tell(f"A kept sign-in was left alone: {error}.")
            return False
        record.keeper, record.stamp = self, stamp
        log.debug("an account is read from %s, with %d tokens", self.kept, len(tokens))
        with self._lock:
            # A refresh under way has the grants that are here in its hand, and a rotated refresh
            # token must not be followed by the one before.
            if key in self._leaving:
                return False
            if not in_turn and key in self._refreshing:
                return key in self._cache.signed_in
            if in_turn:
                if self._cache.signed_in.get(key) is not here:  # signed out, or in anew, meanwhile
                    return key in self._cache.signed_in
                changes = self._cache.changes(key)
            self._cache.restore(record, tokens, changes=changes)
            return key in self._cache.signed_in

    def _merge(self, key: AccountKey, record: SignedIn) -> None:
        """Before a sign-in is kept: take in what other kernels have kept of the account."""
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        with telling(self.store, self._notices):
            stamp = self.store.stamp(_entry(key))
            if stamp is None and record.went_on:
                self._cache.drop_kept(record)
            if stamp is None or stamp == record.stamp:
                return
            data = self.store.load(_entry(key))
            if data is not None:
                with suppress(UnreadableRecord):  # it is replaced by what can be read
                    kept, tokens = decode(data, key, record.client, self._clients)
                    kept.stamp = stamp
                    self._cache.merge(kept, tokens)

    def _save(self, key: AccountKey, *, only_if_there: bool) -> bool | None:
        """``False`` if the account has been signed out; ``None`` if it failed, which is told."""
        from nbauth.kernel.accounts.records import encode

        record = self._cache.signed_in.get(key)
        if record is None:
            return False
        only_if_there = only_if_there and record.stamp is not None
        grants = (*record.grants, *record.superseded)
        data = encode(record, self._cache.tokens_of(key))
        saved = None
        with telling(self.store, self._notices):
            saved = self.store.save(_entry(key), data, only_if_there=only_if_there)
            self._unsaved.done(key)
            if not saved:
                self._cache.remove(key, elsewhere=record)
                return key in self._cache.signed_in
            for grant in grants:
                grant.kept = True
            record.stamp, record.went_on = self.store.stamp(_entry(key)), False
            if key not in self._cache.signed_in:  # signed out between the encoding and the save
                self.forget(key)
                return False
        if saved is None and key in self._cache.signed_in:
            self._unsaved.note(key)
        return saved

    def _keys(self) -> list[AccountKey]:
        return [_key(entry) for entry in self.store.entries()]


def _entry(key: AccountKey) -> Entry:
    from nbauth.persistence.protocol import Entry

    return Entry(*key)


def _key(entry: Entry) -> AccountKey:
    return AccountKey(entry.issuer, entry.client_id, entry.account)
