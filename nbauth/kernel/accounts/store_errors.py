"""Handles a persistence that fails: the person is told, and work goes on in memory."""

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
def reported(store: Persistence, notices: Notices) -> Iterator[None]:
    """Report an error of the store as a notice, and go on in memory."""
    try:
        with raised(store, notices):
            yield
    except PersistenceError as error:
        notices.tell(f"{error} {error.hint}")


@contextmanager
def raised(store: Persistence, notices: Notices) -> Iterator[None]:
    """Report the store's notices; turn any error into a ``PersistenceError``."""
    try:
        yield
    except NbAuthError:
        raise
    except Exception as error:  # the store may be a plug-in
        why = f"{type(error).__name__}: {plain(error)}"
        raise PersistenceError(f"The sign-in could not be stored: {why}.") from error
    finally:
        while store.notices:
            notices.tell(store.notices.pop(0))


def unreadable(kept: str) -> PersistenceError:
    """The error for a record that another kernel wrote and that can't be read here."""
    return PersistenceError(
        f"Another kernel has stored this account ({kept}) in a form that can't be read here.",
        code="unreadable",
        hint="Update nbauth in this environment, or run %logout, then %login.",
    )


@contextmanager
def shared_lock(store: Persistence, entry: Entry, notices: Notices) -> Iterator[None]:
    """Hold the lock that all kernels share; if there is none, report why and go on without.

    Raises ``PersistenceError`` (``busy``) if another kernel holds it too long: its work must not be
    done twice.
    """
    busy = None
    with ExitStack() as stack:
        with reported(store, notices):
            try:
                stack.enter_context(store.refreshing(entry))
            except PersistenceError as error:
                if error.code != BUSY:
                    raise
                busy = error
        if busy is not None:
            raise busy
        yield
