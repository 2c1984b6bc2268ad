"""Which consents were offered to the person because a host refused a token, and their outcome."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from nbauth.core.account import AccountKey
from nbauth.core.scopes import Scopes

PAUSE = 60.0
"""Seconds for which the same consent is not offered again, and the same line not shown again."""
Place = tuple[str, AccountKey | None, frozenset[str]]
"""A host, the account, and the scopes of the token as the entry of the host names them."""
MOST = 256
"""Entries that are remembered; the oldest are dropped first."""


class Attempt(NamedTuple):
    """How to get a wider token.

    Attributes:
        asking: whether the person can be asked in this thread.
        asks: whether the person is asked, if the token needs it.
        joins: whether a sign-in may begin, or one in progress be joined.
    """

    asking: bool
    asks: bool
    joins: bool


class Offers:
    """The offered consents; shared by all ``auth`` objects of the session.

    Attributes:
        widened: the scopes of the wider token that a host gets now.
    """

    def __init__(self) -> None:
        self.widened: dict[Place, Scopes] = {}
        self._offered: dict[Any, float] = {}
        self._tried: dict[Any, tuple[float, int]] = {}
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

    def may_offer(self, place: Place, missing: tuple[str, ...]) -> bool:
        """Whether a consent may be offered: it was not offered in the last minute, and the person
        has not refused another consent for this host in that time."""
        none_refused = _is_over(self._offered, place[:2])
        return none_refused and _is_over(self._offered, _name(place, missing))

    def offered(self, place: Place, missing: tuple[str, ...], *, given: bool) -> None:
        """Note that the offer has ended. If the person did not consent, no other consent is offered
        for this host: it could name other scopes each time, and so open one panel after another."""
        self._offered[_name(place, missing) if given else place[:2]] = time.monotonic() + PAUSE
        _shorten(self._offered)

    def was_tried(
        self, place: Place, missing: tuple[str, ...], changes: int, *, asking: bool
    ) -> bool:
        """Whether nbauth tried to get this token in the last minute. Then it does not try again.

        ``changes``: how often the account has changed; after the next sign-in it is tried again.
        ``asking``: whether the person can be asked. If so, it is tried again even if an attempt
        without a question has failed.
        """
        name = _name(place, missing), asking
        until, then = self._tried.get(name, (0.0, 0))
        return time.monotonic() < until and then == changes

    def tried(self, place: Place, missing: tuple[str, ...], changes: int, *, asking: bool) -> None:
        """Note that nbauth has tried to get this token."""
        self._tried[_name(place, missing), asking] = time.monotonic() + PAUSE, changes
        _shorten(self._tried)

    def is_news(self, what: object) -> bool:
        """Whether a line was not shown in the last minute; then it counts as shown."""
        if not _is_over(self._told, what):
            return False
        self._told[what] = time.monotonic() + PAUSE
        _shorten(self._told)
        return True


def _name(place: Place, missing: tuple[str, ...]) -> object:
    return place[0], place[1], frozenset(missing)


def _is_over(until: dict[Any, float], name: object) -> bool:
    return time.monotonic() >= until.get(name, 0.0)


def _shorten(known: dict[Any, Any]) -> None:
    for oldest in list(known)[:-MOST]:
        known.pop(oldest, None)
