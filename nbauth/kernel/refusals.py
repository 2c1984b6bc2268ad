"""Hosts that refuse fresh tokens: a storm of 401 must not become a storm of refreshes."""

from __future__ import annotations

import time

from nbauth.core.account import AccountKey
from nbauth.core.errors import NbAuthError

PASS_ON = 60.0
"""Seconds for which a host's 401 is passed on after a fresh token did not help."""
MOST = 256
"""Hosts that are remembered; the oldest go first."""

Where = tuple[str, AccountKey | None, frozenset[str]]
"""A host, whose token, and for which scopes."""
Known = tuple[int, int]
"""A token's hash, and how often its account had changed."""


class Refusals:
    """The hosts that refused a token fetched anew; shared by all that is authorised here."""

    def __init__(self) -> None:
        self._until: dict[Where, float] = {}
        self._errors: dict[Where, tuple[float, Known, NbAuthError]] = {}
        self._tried: dict[Where, int] = {}  # hashes: a token outlives its account nowhere

    def pass_on(self, where: Where, refused: str) -> bool:
        """Whether a 401 is passed on to the caller: another token would not help.

        ``refused``: the text of the token that was sent. One that was fetched because of a 401
        counts, whichever request has sent it.
        """
        until = self._until.get(where)
        if until is not None:
            if time.monotonic() < until:
                return True
            self.helped(where)  # nobody knows: it is tried anew
        elif self._tried.get(where) == hash(refused):
            self._until[where] = time.monotonic() + PASS_ON
            return True
        return False

    def trying(self, where: Where, fresh: str) -> None:
        """A request is repeated with a token that was fetched because of a 401."""
        self._tried[where] = hash(fresh)
        for oldest in list(self._tried)[:-MOST]:
            self.helped(oldest)

    def no_other(self, where: Where, refused: str, changes: int, error: NbAuthError) -> None:
        """There was no other token to try with, and why.

        ``changes``: how often the account has changed; after the next sign-in it is tried anew.
        """
        self._errors[where] = time.monotonic() + PASS_ON, (hash(refused), changes), error
        for oldest in list(self._errors)[:-MOST]:
            self._errors.pop(oldest, None)

    def raise_if_no_other(self, where: Where, refused: str, changes: int) -> None:
        """Raise the error again that said why there is no other token than this one."""
        until, known, error = self._errors.get(where, (0.0, (0, 0), None))
        same = known == (hash(refused), changes)
        if error is not None and same and time.monotonic() < until:
            raise error.with_traceback(None)
        self._errors.pop(where, None)

    def helped(self, where: Where) -> None:
        """The host has taken it."""
        self._until.pop(where, None)
        self._tried.pop(where, None)
