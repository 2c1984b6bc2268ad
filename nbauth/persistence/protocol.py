"""What a persistence is: the protocol that each back end, ours or a package's, fulfils."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

Ask = Callable[[str], str]


@dataclass(frozen=True)
class Entry:
    """What one kept sign-in is bound to.

    Attributes:
        issuer: the authority's whole address.
        client_id: the application.
        account: the ``home_account_id``.
    """

    issuer: str
    client_id: str
    account: str


class Persistence(Protocol):
    """Keeps what a sign-in needs to go on: some bytes for an :class:`Entry`.

    Every kernel of a user on a machine shares it, so each method may be called by several threads
    and processes at once. All but ``exists`` and ``forget`` open it by themselves. All but ``open``
    and ``save`` answer without a key, a question or a new file where nothing is kept. All raise
    ``PersistenceError``, in words for the person. The hooks are public, as those of Microsoft's
    token cache serialization are: they are called around each load, save and clear, from the same
    thread, while no lock of the persistence is held; ``after_access`` hears whether the entry has
    changed. Who saves may hold ``refreshing`` of that entry, and the kernel renews or keeps that
    account: to ask for a token of it from a hook raises ``PersistenceError`` (``within_itself``).

    An interrupt leaves nothing locked. A forked child uses it as any process does, also if another
    thread was opening or refreshing at the fork; it holds no lock that its parent holds.

    Attributes:
        kept: the word for it in ``%accounts``.
        notices: sentences for the person, each there once; whoever shows one takes it out.
    """

    kept: str
    before_access: Callable[[Entry], None] | None
    after_access: Callable[[Entry, bool], None] | None
    notices: list[str]

    def exists(self) -> bool:
        """Whether a sign-in is kept, anybody's: ``False`` after the last one is cleared.

        Needs no key, so that a mere look costs nobody a passphrase.
        """

    def open(self) -> None:
        """Get the key. Takes less than 4 s, however the system's keyring fares; idempotent.

        A person may be asked for a passphrase, by one thread and for as long as they like. No other
        thread waits for that: ``stamp`` raises at once, the rest within 4 s.
        """

    def load(self, entry: Entry) -> bytes | None:
        """What was saved last; ``None`` if that is nothing, or not readable any more."""

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        """Keep this instead, in one step that a crash can't split.

        With ``only_if_there`` an entry that somebody has cleared stays so: ``False``.
        """

    def clear(self, entry: Entry) -> None:
        """Remove it at once, whoever refreshes it."""

    def entries(self) -> list[Entry]:
        """Everybody kept; costs a read each."""

    def current(self, issuer: str, client_id: str) -> Entry | None:
        """The account last used with a client, if still kept; costs the same for any number."""

    def use(self, entry: Entry) -> None:
        """Make it the current one of its client, if it is kept."""

    def stamp(self, entry: Entry) -> object | None:
        """Differs after every save by anybody, ``None`` when nothing is there; costs a stat."""

    def refreshing(self, entry: Entry) -> AbstractContextManager[None]:
        """Only one at a time, of all threads and processes, gets in: to load, refresh and save.

        Waits for 60 s. It is free again at once when its holder dies.
        """

    def forget(self) -> None:
        """Remove every entry, lock and folder, and the key."""
