"""Reads the accounts of one persistence into this kernel's cache."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey, Asked
from nbauth.core.person import Notices
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.signed_in import SignedIn, Store
from nbauth.kernel.accounts.store_errors import reported, unreadable
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.grants import Grant
    from nbauth.kernel.accounts.records import Clients
    from nbauth.persistence.protocol import Entry, Persistence

log = logging.getLogger(__name__)


class StoreReader(Store):
    """The reading part of an ``AccountStore``.

    Args:
        persistence: already open.
        cache: of this kernel.
        notices: tells the person about problems.
        clients: finds the client of an account that was not requested by a call.
    """

    def __init__(
        self, persistence: Persistence, cache: TokenCache, notices: Notices, clients: Clients
    ) -> None:
        self.persistence = persistence
        self.kept = persistence.kept
        self._cache = cache
        self._notices = notices
        self._clients = clients
        self._refreshing: set[AccountKey] = set()
        self._signing_out: set[AccountKey] = set()
        self._lock = threading.Lock()  # for the sets; only the cache is called inside

    def fetch(self, client: Client, asked: Asked | None = None) -> bool:
        """Read an account of a client into the cache: the requested one, else the last used one.

        Raises ``ConfigurationError`` for a name that several of them share.
        """
        with reported(self.persistence, self._notices):
            used_last = self.persistence.current(*client.key)  # read also if another is requested
            found = used_last is not None and self._restore(key_of(used_last), client)
            if asked is None:
                return found
        self.fetch_of(client)
        return self._cache.find(client.key, asked) is not None

    def fetch_of(self, client: Client) -> bool:
        """Read all accounts of a client into the cache; return whether there are any."""
        keys: list[AccountKey] = []
        with reported(self.persistence, self._notices):
            used_last = self.persistence.current(*client.key)
            keys = [key for key in self._keys() if key.client == client.key]
            for key in sorted(keys, key=lambda key: entry_of(key) != used_last):
                self._restore(key, client)
        return bool(keys)

    def fetch_all(self) -> None:
        """Read all stored accounts into the cache."""
        with reported(self.persistence, self._notices):
            keys = self._keys()
            clients = dict.fromkeys(key.client for key in keys)
            used_last = {self.persistence.current(*client) for client in clients}
            for key in sorted(keys, key=lambda key: entry_of(key) not in used_last):
                self._restore(key)

    def grants_of(self, key: AccountKey) -> list[Grant]:
        """All stored grants of an account, read now."""
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        with reported(self.persistence, self._notices), suppress(UnreadableRecord):
            data = self.persistence.load(entry_of(key))
            if data is not None:
                kept, _ = decode(data, key, None, self._clients)
                return [*kept.superseded, *kept.grants]
        return []

    def gone(self) -> list[SignedIn]:
        """The accounts of the cache that another kernel has signed out."""
        with reported(self.persistence, self._notices):
            kept = [record for record in self._mine() if record.stamp is not None]
            return [
                record for record in kept if self.persistence.stamp(entry_of(record.key)) is None
            ]
        return []

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

    def _mine(self) -> list[SignedIn]:
        return [one for one in list(self._cache.signed_in.values()) if one.store is self]

    def _restore(
        self, key: AccountKey, client: Client | None = None, *, in_turn: bool = False
    ) -> bool:
        from nbauth.kernel.accounts.records import UnreadableRecord, decode

        changes = self._cache.changes(key)
        stamp = self.persistence.stamp(entry_of(key))
        here = self._cache.signed_in.get(key)
        if here is not None and (here.store is not self or stamp == here.stamp):
            return True  # this kernel's own sign-in is the newer one
        data = self.persistence.load(entry_of(key))
        if data is None:
            if in_turn and self.persistence.stamp(entry_of(key)) is not None:
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
        record.store, record.stamp = self, stamp
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

    def _keys(self) -> list[AccountKey]:
        return [key_of(entry) for entry in self.persistence.entries()]


def entry_of(key: AccountKey) -> Entry:
    """The entry of an account in a persistence."""
    from nbauth.persistence.protocol import Entry

    return Entry(*key)


def key_of(entry: Entry) -> AccountKey:
    """The account of an entry."""
    return AccountKey(entry.issuer, entry.client_id, entry.account)
