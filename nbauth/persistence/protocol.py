"""The protocol that every persistence fulfils, nbauth's own and those from plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

Ask = Callable[[str], str]


@dataclass(frozen=True)
class Entry:
    """What one stored sign-in is for.

    Attributes:
        issuer: the full URL of the authority.
        client_id: the application.
        account: the ``home_account_id``.
    """

    issuer: str
    client_id: str
    account: str


class Persistence(Protocol):
    """Stores the data that renews a sign-in: some bytes for each :class:`Entry`.

    All kernels of a user on a machine share it, so threads and processes call it concurrently. All
    methods except ``exists`` and ``forget`` open it first. If nothing is stored, all but ``open``
    and ``save`` return without a key, a prompt or a new file. All raise ``PersistenceError`` with a
    readable message.

    The hooks are public, like those of Microsoft's token cache serialization. They are called
    before and after each load, save and clear, on the same thread, while no lock of the persistence
    is held. ``after_access`` is told whether the entry has changed. The caller of ``save`` may hold
    ``refreshing`` for that entry while the kernel renews or stores the account; a hook that then
    requests a token of the same account gets ``PersistenceError`` (``within_itself``).

    An interrupt leaves nothing locked. A forked child can use it, even if a thread of the parent
    was opening or refreshing at the fork; the child does not hold the parent's locks.

    Attributes:
        kept: the word that ``%accounts`` shows for it.
        notices: sentences for the person, each once; the caller that shows one removes it.
    """

    kept: str
    before_access: Callable[[Entry], None] | None
    after_access: Callable[[Entry, bool], None] | None
    notices: list[str]

    def exists(self) -> bool:
        """Whether any sign-in is stored; ``False`` after the last one is cleared.

        Needs no key, so it never asks for a passphrase.
        """

    def open(self) -> None:
        """Get the key. Idempotent. Takes less than 4 s, even if the system keyring hangs.

        One thread may ask the person for a passphrase, without a time limit. Meanwhile, in other
        threads, ``stamp`` raises at once and the other methods within 4 s.
        """

    def load(self, entry: Entry) -> bytes | None:
        """Return what was saved last; ``None`` if nothing, or if it can't be read any more."""

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        """Replace the entry's data atomically: a crash leaves the old data or the new.

        With ``only_if_there``, an entry that was cleared is not stored again; returns ``False``.
        """

    def clear(self, entry: Entry) -> None:
        """Remove it at once, even while another kernel refreshes it."""

    def entries(self) -> list[Entry]:
        """All stored entries; reads one file for each."""

    def current(self, issuer: str, client_id: str) -> Entry | None:
        """The account last used with a client, if still stored; reads one file."""

    def use(self, entry: Entry) -> None:
        """Make it the current account of its client, if it is stored."""

    def stamp(self, entry: Entry) -> object | None:
        """A value that differs after every save, by any process; ``None`` if nothing is stored.

        Costs one ``stat`` call.
        """

    def refreshing(self, entry: Entry) -> AbstractContextManager[None]:
        """Hold the entry's lock to load, refresh and save; exclusive for all threads and processes.

        Waits up to 60 s. The lock is free at once if its holder dies.
        """

    def forget(self) -> None:
        """Remove every entry, lock and folder, and the key."""
