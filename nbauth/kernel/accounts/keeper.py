"""Connects this kernel's cache with one persistence: one stored record for each account.

Not used while ``persist`` is ``memory``.
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
from nbauth.kernel.accounts.store_errors import raised, reported, shared_lock, unreadable
from nbauth.kernel.accounts.unsaved import Unsaved
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.grants import Grant
    from nbauth.kernel.accounts.records import Clients
    from nbauth.kernel.accounts.signed_in import SignedIn
    from nbauth.persistence.protocol import Entry, Persistence

log = logging.getLogger(__name__)
READ_AGAIN = object()
"""A stamp that differs from every stored one, so that the record is read again."""
ONLY_THE_PARENT = (
    "The sign-in of {} is not stored: this process was forked, and only the parent can store it."
)


class Keeper:
    """One persistence, and which accounts of the cache are stored in it.

    Args:
        store: the persistence, already open.
        cache: of this kernel.
        notices: tells the person about problems.
        clients: finds the client of an account that was not requested by a call.
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
        self._signing_out: set[AccountKey] = set()
        self._lock = threading.Lock()  # for the sets; only the cache is called inside

    def fetch(self, client: Client, asked: Asked | None = None) -> bool:
        """Read an account of a client into the cache: the requested one, else the last used one.

        Raises ``ConfigurationError`` for a name that several of them share.
        """
        with reported(self.store, self._notices):
            used_last = self.store.current(*client.key)  # read also if another is requested
            found = used_last is not None and self._restore(_key(used_last), client)
            if asked is None:
                return found
        self.fetch_of(client)
        return self._cache.find(client.key, asked) is not None

    def fetch_of(self, client: Client) -> bool:
        """Read all accounts of a client into the cache; return whether there are any."""
        keys: list[AccountKey] = []
        with reported(self.store, self._notices):
            used_last = self.store.current(*client.key)
            keys = [key for key in self._keys() if key.client == client.key]
            for key in sorted(keys, key=lambda key: _entry(key) != used_last):
                self._restore(key, client)
        return bool(keys)

    def fetch_all(self) -> None:
        """Read all stored accounts into the cache."""
        with reported(self.store, self._notices):
            keys = self._keys()
            clients = dict.fromkeys(key.client for key in keys)
            used_last = {self.store.current(*client) for client in clients}
            for key in sorted(keys, key=lambda key: _entry(key) not in used_last):
                self._restore(key)

    def keep(self, key: AccountKey) -> bool:
        """Store an account as the cache has it; record the client's current one as last used.

        An account that was stored before and was cleared by another kernel is not stored again.
        Returns whether it was stored; if not, the person was told why, and it is tried again.
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
        # Under the lock, since another kernel's refresh would overwrite it with older grants.
        with (
            reported(self.store, self._notices),
            shared_lock(self.store, _entry(key), self._notices),
        ):
            self._merge(key, record)
            if any(grant.ours for grant in record.grants):
                kept = self._save(key, only_if_there=only_if_there) is True
            else:
                self._notices.tell(ONLY_THE_PARENT.format(record.account.username))
        if self._cache.current.get(key.client) == key:
            self.used(key)
        log.debug("stored in %s: %s", self.kept, kept)
        return kept

    def used(self, key: AccountKey) -> None:
        """Record it as the account that was used last."""
        with reported(self.store, self._notices):
            self.store.use(_entry(key))

    @contextmanager
    def refreshing(self, key: AccountKey) -> Iterator[None]:
        """Lock out other kernels during a refresh, and first read what they have stored.

        An account that another kernel has signed out is signed out here. Raises
        ``PersistenceError`` if the store can't be read: another kernel may have used the refresh
        token that is here.
        """
        with shared_lock(self.store, _entry(key), self._notices):
            with self._lock:
                self._refreshing.add(key)
            try:
                self._bring_up_to_date(key)
                yield
            finally:
                with self._lock:
                    self._refreshing.discard(key)

    def refreshed(self, key: AccountKey) -> bool:
        """Store the result of a refresh; ``False`` if the account was signed out meanwhile."""
        return self._save(key, only_if_there=True) is not False

    def due(self) -> list[AccountKey]:
        """Accounts that could not be stored and are to be tried now.

        Until they are stored, other kernels have a refresh token that was already used. The
        interval between attempts grows.
        """
        return self._unsaved.due()

    @property
    def has_unsaved(self) -> bool:
        """Whether an account still has to be stored."""
        return bool(self._unsaved)

    def grants_of(self, key: AccountKey) -> list[Grant]:
        """All stored grants of an account, read now."""
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        with reported(self.store, self._notices), suppress(UnreadableRecord):
            data = self.store.load(_entry(key))
            if data is not None:
                kept, _ = decode(data, key, None, self._clients)
                return [*kept.superseded, *kept.grants]
        return []

    def forget(self, key: AccountKey) -> None:
        """Remove an account. Does not wait; a refresh in progress can't store it again."""
        self._unsaved.done(key)
        with reported(self.store, self._notices):
            self.store.clear(_entry(key))

    @contextmanager
    def signing_out(self, key: AccountKey) -> Iterator[None]:
        """While an account is being signed out here, do not read it from the store again."""
        with self._lock:
            self._signing_out.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._signing_out.discard(key)
                self._cache.touch(key)

    def gone(self) -> list[SignedIn]:
        """The accounts of the cache that another kernel has signed out."""
        with reported(self.store, self._notices):
            kept = [record for record in self._mine() if record.stamp is not None]
            return [record for record in kept if self.store.stamp(_entry(record.key)) is None]
        return []

    def forked(self, store: Persistence) -> None:
        """In a forked child: use a new persistence object, and read all records again.

        Except where the parent had newer grants than the stored ones: the stored ones are used up
        until the parent has written the newer ones.
        """
        self.store = store
        for record in self._mine():
            if record.stamp is not None and all(grant.kept for grant in record.grants):
                record.stamp = READ_AGAIN
        self._refreshing, self._signing_out, self._unsaved = set(), set(), Unsaved()
        self._lock = threading.Lock()

    def keeps(self, key: AccountKey) -> bool:
        """Whether the account is stored here as the cache has it, as far as this kernel knows."""
        record = self._cache.signed_in.get(key)
        if record is None or record.keeper is not self:
            return False
        return record.stamp is not None and not record.unsaved

    @property
    def watches(self) -> bool:
        """Whether an account of the cache is stored here, or is to be."""
        return bool(self._mine())

    def _mine(self) -> list[SignedIn]:
        return [one for one in list(self._cache.signed_in.values()) if one.keeper is self]

    def _bring_up_to_date(self, key: AccountKey) -> None:
        record = self._cache.signed_in.get(key)
        if record is None or record.keeper is not self:
            return
        if any(grant.kept for grant in record.grants):
            look = raised(self.store, self._notices)
        else:  # no other kernel can have used grants that were made here
            look = reported(self.store, self._notices)
        with look:
            stamp = self.store.stamp(_entry(key))
            if stamp is None and record.took_over_kept:
                self._cache.drop_kept(record)
            if stamp == record.stamp:
                return
            if stamp is None:
                self._cache.remove(key, elsewhere=record)
            else:
                self._restore(key, in_turn=True)
        if self._cache.signed_in.get(key) is not record:  # it was read or signed in again
            self._bring_up_to_date(key)

    def _restore(
        self, key: AccountKey, client: Client | None = None, *, in_turn: bool = False
    ) -> bool:
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        changes = self._cache.changes(key)
        stamp = self.store.stamp(_entry(key))
        here = self._cache.signed_in.get(key)
        if here is not None and (here.keeper is not self or stamp == here.stamp):
            return True  # this kernel's own sign-in is the newer one
        data = self.store.load(_entry(key))
        if data is None:
            if in_turn and self.store.stamp(_entry(key)) is not None:
                raise unreadable(self.kept)
            if in_turn and here is not None:  # another kernel has just signed it out
                self._cache.remove(key, elsewhere=here)
            return False
        try:
            record, tokens = decode(
                data, key, client or (here.client if here else None), self._clients
            )
        except UnreadableRecord as error:
            if in_turn:
                raise unreadable(self.kept) from error
            self._notices.tell(f"A stored sign-in can't be read: {error}.")
            return False
        record.keeper, record.stamp = self, stamp
        log.debug("an account was read from %s, with %d tokens", self.kept, len(tokens))
        with self._lock:
            # A refresh in progress uses the grants that are here, and a rotated refresh token
            # must not be replaced by an older one.
            if key in self._signing_out:
                return False
            if not in_turn and key in self._refreshing:
                return key in self._cache.signed_in
            if in_turn:
                if self._cache.signed_in.get(key) is not here:  # signed out or in again meanwhile
                    return key in self._cache.signed_in
                changes = self._cache.changes(key)
            self._cache.restore(record, tokens, changes=changes)
            return key in self._cache.signed_in

    def _merge(self, key: AccountKey, record: SignedIn) -> None:
        """Before a sign-in is stored: merge what other kernels have stored of the account."""
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        with reported(self.store, self._notices):
            stamp = self.store.stamp(_entry(key))
            if stamp is None and record.took_over_kept:
                self._cache.drop_kept(record)
            if stamp is None or stamp == record.stamp:
                return
            data = self.store.load(_entry(key))
            if data is not None:
                with suppress(UnreadableRecord):  # an unreadable record is replaced
                    kept, tokens = decode(data, key, record.client, self._clients)
                    kept.stamp = stamp
                    self._cache.merge(kept, tokens)

    def _save(self, key: AccountKey, *, only_if_there: bool) -> bool | None:
        """``False`` if the account has been signed out; ``None`` if storing failed (reported)."""
        from nbauth.kernel.accounts.records import encode

        record = self._cache.signed_in.get(key)
        if record is None:
            return False
        only_if_there = only_if_there and record.stamp is not None
        grants = (*record.grants, *record.superseded)
        data = encode(record, self._cache.tokens_of(key))
        saved = None
        with reported(self.store, self._notices):
            saved = self.store.save(_entry(key), data, only_if_there=only_if_there)
            self._unsaved.done(key)
            if not saved:
                self._cache.remove(key, elsewhere=record)
                return key in self._cache.signed_in
            for grant in grants:
                grant.kept = True
            record.stamp, record.took_over_kept = self.store.stamp(_entry(key)), False
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
