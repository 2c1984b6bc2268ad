"""A persistence in this process, shared by several sessions as by several kernels."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbauth.core.errors import PersistenceError
from nbauth.persistence import Entry


class Shelf:
    """The content that all handles share."""

    def __init__(self) -> None:
        self.kept_records: dict[Entry, tuple[int, bytes]] = {}
        self.in_use: dict[tuple[str, str], Entry] = {}
        self.lock = threading.RLock()
        self.locks: dict[Entry, threading.Lock] = {}
        self.number = 0
        self.opened = 0
        self.broken: str | None = None
        self.full = False

    def named(self, kind: str, *, folder: Path | None = None, ask: Any = None) -> Handle:
        """Stands in for ``persistence_named``."""
        return Handle(self, kind)


class Handle:
    """See :class:`nbauth.persistence.Persistence`."""

    def __init__(self, shelf: Shelf, kind: str) -> None:
        self.shelf = shelf
        self.kept = kind
        self.notices: list[str] = []
        self.before_access = self.after_access = None

    def exists(self) -> bool:
        return bool(self.shelf.kept_records)

    def open(self) -> None:
        self.shelf.opened += 1
        if self.shelf.broken:
            raise PersistenceError(self.shelf.broken)

    def load(self, entry: Entry) -> bytes | None:
        record = self.shelf.kept_records.get(entry)
        return record[1] if record else None

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        if self.shelf.full:
            raise PersistenceError("The disk is full.")
        with self.shelf.lock:
            if only_if_there and entry not in self.shelf.kept_records:
                return False
            self.shelf.number += 1
            self.shelf.kept_records[entry] = self.shelf.number, data
            return True

    def clear(self, entry: Entry) -> None:
        with self.shelf.lock:
            self.shelf.kept_records.pop(entry, None)

    def entries(self) -> list[Entry]:
        return list(self.shelf.kept_records)

    def current(self, issuer: str, client_id: str) -> Entry | None:
        entry = self.shelf.in_use.get((issuer, client_id))
        return entry if entry in self.shelf.kept_records else None

    def use(self, entry: Entry) -> None:
        self.shelf.in_use[entry.issuer, entry.client_id] = entry

    def stamp(self, entry: Entry) -> object | None:
        record = self.shelf.kept_records.get(entry)
        return record[0] if record else None

    @contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        with self.shelf.lock:
            lock = self.shelf.locks.setdefault(entry, threading.Lock())
        with lock:
            yield

    def forget(self) -> None:
        self.shelf.kept_records.clear()
