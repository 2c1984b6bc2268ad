"""A persistence that fails: it is said, and work goes on in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nbauth.core.errors import NbAuthError, PersistenceError
from nbauth.core.person import Notices
from nbauth.core.text import plain

if TYPE_CHECKING:
    from nbauth.persistence.protocol import Entry, Persistence

BUSY = "busy"
"""The code of the error that another kernel holds an account's lock for too long."""


@contextmanager
def telling(store: Persistence, notices: Notices) -> Iterator[None]:
    """Tell what goes wrong, and go on in memory."""
    try:
        with failing(store, notices):
            yield
    except PersistenceError as error:
        notices.tell(f"{error} {error.hint}")


@contextmanager
def failing(store: Persistence, notices: Notices) -> Iterator[None]:
    """Tell what the store has to say; whatever goes wrong is a ``PersistenceError``."""
    try:
        yield
    except NbAuthError:
        raise
    except Exception as error:  # a persistence that somebody else wrote
        why = f"{type(error).__name__}: {plain(error)}"
        raise PersistenceError(f"Sign-ins could not be kept: {why}.") from error
    finally:
        while store.notices:
            notices.tell(store.notices.pop(0))


def unreadable(kept: str) -> PersistenceError:
    """The error that nobody knows here what another kernel has made of an account."""
    return PersistenceError(
        f"What another kernel has kept of this account ({kept}) cannot be read here.",
        code="unreadable",
        hint="Update nbauth in this environment, or %logout and %login.",
    )


@contextmanager
def lock_of(store: Persistence, entry: Entry, notices: Notices) -> Iterator[None]:
    """The lock that all kernels share; without it, where there is none, after saying why.

    Raises ``PersistenceError`` (``busy``) where another kernel holds it: what that one does now
    must not be done a second time.
    """
    busy = None
    with ExitStack() as stack:
        with telling(store, notices):
            try:
                stack.enter_context(store.refreshing(entry))
            except PersistenceError as error:
                if error.code != BUSY:
                    raise
                busy = error
        if busy is not None:
            raise busy
        yield
