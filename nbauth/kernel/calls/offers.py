"""Which consents were offered to the person because a host refused a token, and their outcome."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from nbauth.core.account import AccountKey
from nbauth.core.scopes import Scopes

PAUSE = 60.0
"""Seconds for which the same consent is not offered again, and the same line not shown again."""
Place = tuple[str, AccountKey | None, frozenset[str]]
"""A host, the account, and the scopes of the token as the entry of the host names them."""
LONGEST = 900.0
"""Seconds after which an offer counts as ended in any case."""
MOST = 256
"""Entries that are remembered; the oldest are dropped first."""


class Attempt(NamedTuple):
    """How to get a wider token.

    Attributes:
        asking: whether the person can be asked in this thread.
        asks: whether the person is asked, if the token needs it.
        joins: whether a sign-in may begin, or one in progress be joined.
        since: see ``Need``; from before it was decided.
    """

    asking: bool
    asks: bool
    joins: bool
    since: float = math.inf


class Offers:
    """The offered consents; shared by all ``auth`` objects of the session.

    Attributes:
        widened: the scopes of the wider token that a host gets now.
    """

    def __init__(self) -> None:
        self.widened: dict[Place, Scopes] = {}
        self._declined: dict[Any, float] = {}
        self._given: dict[Any, tuple[float, int]] = {}
        self._open: dict[Any, tuple[frozenset[str], int, float]] = {}
        self._began: dict[Any, float] = {}
        self._in_vain: dict[Any, tuple[float, int]] = {}
        self._told: dict[Any, float] = {}

    # ── the wider tokens ────────────────────────────────────────────────────────────────────

    def scopes(self, place: Place, scopes: Scopes) -> Scopes:
        """The scopes of the token that a host gets now."""
        return self.widened.get(place, scopes)

    def widen(self, place: Place, wider: Scopes) -> None:
        """Note that a host gets a token with more scopes from now on."""
        self.widened[place] = wider
        _shorten(self.widened)

    def narrow(self, place: Place) -> None:
        """Note that there is no such token any more."""
        self.widened.pop(place, None)

    # ── what was tried ──────────────────────────────────────────────────────────────────────

    def may_offer(self, place: Place, missing: tuple[str, ...], changes: int) -> bool:
        """Whether a consent may be offered: in the last minute it was not, the person refused none
        that this host wanted, and no other one of this host is offered now.

        ``changes``: see :meth:`is_in_vain`. A consent counts until the account changes: at some
        issuers the next sign-in has not the scopes of the last one.
        """
        scopes, calls, until = self._open.get(place[:2], (frozenset(), 0, 0.0))
        if calls and scopes != frozenset(missing) and time.monotonic() < until:
            return False
        given, then = self._given.get((place, frozenset(missing)), (0.0, 0))
        if then == changes and time.monotonic() < given:
            return False
        return _is_over(self._declined, place[:2])

    def since(self, place: Place) -> float:
        """Since when calls ask the person for a host: now, if none does."""
        now = time.monotonic()
        return self._began.get(place[:2], now) if place[:2] in self._open else now

    @contextmanager
    def asking(self, attempt: Attempt, place: Place, missing: tuple[str, ...]) -> Iterator[None]:
        """While a call asks the person, the same host offers no other consent.

        Tasks that wait for the same consent share it.
        """
        if not attempt.asks:
            yield
            return
        wanted = frozenset(missing)
        try:
            scopes, calls, _ = self._open.get(place[:2], (wanted, 0, 0.0))
            calls = calls if scopes == wanted else 0
            self._began[place[:2]] = min(attempt.since, self.since(place))
            _shorten(self._began)
            self._open[place[:2]] = wanted, calls + 1, time.monotonic() + LONGEST
            _shorten(self._open)
            yield
        finally:
            scopes, calls, until = self._open.pop(place[:2], (wanted, 0, 0.0))
            if calls > 1:
                self._open[place[:2]] = scopes, calls - 1, until

    def offered(self, place: Place, missing: tuple[str, ...], changes: int, *, given: bool) -> None:
        """Note that the offer has ended. A host that named other scopes each time would otherwise
        show one panel after the other."""
        until = time.monotonic() + PAUSE
        if given:
            self._given[place, frozenset(missing)] = until, changes
        else:
            self._declined[place[:2]] = until
        _shorten(self._given)
        _shorten(self._declined)

    def is_in_vain(
        self, place: Place, missing: tuple[str, ...], changes: int, *, asking: bool
    ) -> bool:
        """Whether another token was fetched, or there was none, in the last minute.

        ``changes``: how often the account has changed; after the next sign-in it is tried again.
        ``asking``: whether the person can be asked; that may help where nothing else did.
        """
        name = place, frozenset(missing), asking
        until, then = self._in_vain.get(name, (0.0, 0))
        return time.monotonic() < until and then == changes

    def in_vain(
        self, place: Place, missing: tuple[str, ...], changes: int, *, asking: bool
    ) -> None:
        """Note that trying again soon is in vain."""
        self._in_vain[place, frozenset(missing), asking] = time.monotonic() + PAUSE, changes
        _shorten(self._in_vain)

    def is_news(self, what: object) -> bool:
        """Whether a line was not shown in the last minute; then it counts as shown."""
        if not _is_over(self._told, what):
            return False
        self._told[what] = time.monotonic() + PAUSE
        _shorten(self._told)
        return True


def _is_over(until: dict[Any, float], name: object) -> bool:
    return time.monotonic() >= until.get(name, 0.0)


def _shorten(known: dict[Any, Any]) -> None:
    for oldest in list(known)[:-MOST]:
        known.pop(oldest, None)
