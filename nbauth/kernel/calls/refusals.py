"""Hosts that refuse fresh tokens: many 401 responses must not cause as many refreshes."""

from __future__ import annotations

import time

from nbauth.core.account import AccountKey
from nbauth.core.errors import NbAuthError
from nbauth.kernel.calls.offers import Offers

PASS_ON = 60.0
"""Seconds for which a host's 401 is passed on after a new token did not help."""
MOST = 256
"""Hosts that are remembered; the oldest are dropped first."""

Where = tuple[str, AccountKey | None, frozenset[str], bool]
"""A host, the account and the scopes of the token, and whether the host named a requirement."""
Known = tuple[int, int]
"""A token's hash, and the number of changes of its account."""


class Refusals:
    """The hosts that refused a new token; shared by all ``auth`` objects of the session.

    Attributes:
        keeps_errors: whether it is remembered that there was no other token. A worker leaves that
            to the kernel, which knows when the person signs in again.
        offers: the consents that were offered because a host needs more scopes.
    """

    def __init__(self, *, keeps_errors: bool = True) -> None:
        self.offers = Offers()
        self.keeps_errors = keeps_errors
        self._until: dict[Where, float] = {}
        self._errors: dict[tuple[Where, bool], tuple[float, Known, NbAuthError]] = {}
        self._tried: dict[Where, int] = {}  # hashes only, so that no token is kept after sign-out

    def pass_on(self, where: Where, refused: str) -> bool:
        """Whether to pass a 401 on to the caller, because another token would not help.

        ``refused``: the text of the token that was sent. A token that was fetched because of a 401
        counts, whichever request sent it.
        """
        until = self._until.get(where)
        if until is not None:
            if time.monotonic() < until:
                return True
            self.helped(where)  # the time is over: try again
        elif self._tried.get(where) == hash(refused):
            self._until[where] = time.monotonic() + PASS_ON
            return True
        return False

    def trying(self, where: Where, fresh: str) -> None:
        """Note that a request is repeated with a token that was fetched because of a 401."""
        self._tried[where] = hash(fresh)
        for oldest in list(self._tried)[:-MOST]:
            self.helped(oldest)

    def no_other(
        self, where: Where, refused: str, changes: int, error: NbAuthError, *, asking: bool
    ) -> None:
        """Note that there was no other token, and why.

        ``changes``: how often the account has changed; after the next sign-in it is tried again.
        ``asking``: whether the person could be asked; that may help where nothing else did.
        """
        if not self.keeps_errors:
            return
        self._errors[where, asking] = time.monotonic() + PASS_ON, (hash(refused), changes), error
        for oldest in list(self._errors)[:-MOST]:
            self._errors.pop(oldest, None)

    def raise_if_no_other(self, where: Where, refused: str, changes: int, *, asking: bool) -> None:
        """Raise the noted error, if there was no other token than this one."""
        until, known, error = self._errors.get((where, asking), (0.0, (0, 0), None))
        same = known == (hash(refused), changes)
        if error is not None and same and time.monotonic() < until:
            raise error.with_traceback(None)
        self._errors.pop((where, asking), None)

    def helped(self, where: Where) -> None:
        """Note that the host has accepted the token."""
        self._until.pop(where, None)
        self._tried.pop(where, None)
