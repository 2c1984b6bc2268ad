"""Connects this kernel's cache with one persistence: one stored record for each account.

Not used while ``persist`` is ``memory``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey
from nbauth.core.person import Notices
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.store_errors import raised, reported, shared_lock
from nbauth.kernel.accounts.store_reader import StoreReader, entry_of
from nbauth.kernel.accounts.unsaved import Unsaved

if TYPE_CHECKING:
    from nbauth.kernel.accounts.records import Clients
    from nbauth.kernel.accounts.signed_in import SignedIn
    from nbauth.persistence.protocol import Persistence

log = logging.getLogger(__name__)
READ_AGAIN = object()
"""A stamp that differs from every stored one, so that the record is read again."""
ONLY_THE_PARENT = (
    "The sign-in of {} is not stored: this process was forked, and only the parent can store it."
)


class AccountStore(StoreReader):
    """One persistence, and which accounts of the cache are stored in it.

    The arguments are those of ``StoreReader``.
    """

    def __init__(
        self, persistence: Persistence, cache: TokenCache, notices: Notices, clients: Clients
    ) -> None:
        super().__init__(persistence, cache, notices, clients)
        self._unsaved = Unsaved()

    def keep(self, key: AccountKey) -> bool:
        """Store an account as the cache has it; record the client's current one as last used.

        An account that was stored before and was cleared by another kernel is not stored again.
        Returns whether it was stored; if not, the person was told why, and it is tried again.
        """
        record = self._cache.signed_in.get(key)
        if record is None:
            self._unsaved.done(key)
            return False
        record.store = self
        only_if_there = record.stamp is not None
        kept = False
        if any(grant.ours for grant in record.grants):
            self._unsaved.note(key)
        # Under the lock, since another kernel's refresh would overwrite it with older grants.
        with (
            reported(self.persistence, self._notices),
            shared_lock(self.persistence, entry_of(key), self._notices),
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
        with reported(self.persistence, self._notices):
            self.persistence.use(entry_of(key))

    @contextmanager
    def refreshing(self, key: AccountKey) -> Iterator[None]:
        """Lock out other kernels during a refresh, and first read what they have stored.

        An account that another kernel has signed out is signed out here. Raises
        ``PersistenceError`` if the store can't be read: another kernel may have used the refresh
        token that is here.
        """
        with shared_lock(self.persistence, entry_of(key), self._notices):
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

    def forget(self, key: AccountKey) -> None:
        """Remove an account. Does not wait; a refresh in progress can't store it again."""
        self._unsaved.done(key)
        with reported(self.persistence, self._notices):
            self.persistence.clear(entry_of(key))

    def forked(self, persistence: Persistence) -> None:
        """In a forked child: use a new persistence object, and read all records again.

        Except where the parent had newer grants than the stored ones: the stored ones are used up
        until the parent has written the newer ones.
        """
        self.persistence = persistence
        for record in self._mine():
            if record.stamp is not None and all(grant.kept for grant in record.grants):
                record.stamp = READ_AGAIN
        self._refreshing, self._signing_out, self._unsaved = set(), set(), Unsaved()
        self._lock = threading.Lock()

    def keeps(self, key: AccountKey) -> bool:
        """Whether the account is stored here as the cache has it, as far as this kernel knows."""
        record = self._cache.signed_in.get(key)
        if record is None or record.store is not self:
            return False
        return record.stamp is not None and not record.unsaved

    @property
    def watches(self) -> bool:
        """Whether an account of the cache is stored here, or is to be."""
        return bool(self._mine())

    def _bring_up_to_date(self, key: AccountKey) -> None:
        record = self._cache.signed_in.get(key)
        if record is None or record.store is not self:
            return
        if any(grant.kept for grant in record.grants):
            look = raised(self.persistence, self._notices)
        else:  # no other kernel can have used grants that were made here
            look = reported(self.persistence, self._notices)
        with look:
            stamp = self.persistence.stamp(entry_of(key))
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

    def _merge(self, key: AccountKey, record: SignedIn) -> None:
        """Before a sign-in is stored: merge what other kernels have stored of the account."""
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        with reported(self.persistence, self._notices):
            stamp = self.persistence.stamp(entry_of(key))
            if stamp is None and record.took_over_kept:
                self._cache.drop_kept(record)
            if stamp is None or stamp == record.stamp:
                return
            data = self.persistence.load(entry_of(key))
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
        with reported(self.persistence, self._notices):
            saved = self.persistence.save(entry_of(key), data, only_if_there=only_if_there)
            self._unsaved.done(key)
            if not saved:
                self._cache.remove(key, elsewhere=record)
                return key in self._cache.signed_in
            for grant in grants:
                grant.kept = True
            record.stamp, record.took_over_kept = self.persistence.stamp(entry_of(key)), False
            if key not in self._cache.signed_in:  # signed out between the encoding and the save
                self.forget(key)
                return False
        if saved is None and key in self._cache.signed_in:
            self._unsaved.note(key)
        return saved
