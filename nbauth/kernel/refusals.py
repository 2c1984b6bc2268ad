"""Hosts that refuse fresh tokens: a storm of 401 must not become a storm of refreshes."""

from __future__ import annotations

import time

from nbauth.core.account import AccountKey
from nbauth.core.scopes import Scopes

PASS_ON = 60.0
"""Seconds for which a host's 401 is passed on after a fresh token did not help."""


class Refusals:
    """The hosts that refused a token fetched anew; shared by all that is authorised here."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, AccountKey | None, frozenset[str]], float] = {}

    def stand(self, host: str, whose: AccountKey | None, scopes: Scopes) -> bool:
        """Whether a 401 of the host is passed on."""
        return time.monotonic() < self._until.get((host, whose, scopes.key), 0.0)

    def note(self, host: str, whose: AccountKey | None, scopes: Scopes, refused: bool) -> None:
        """What the host said to a token fetched anew."""
        if refused:
            self._until[(host, whose, scopes.key)] = time.monotonic() + PASS_ON
        else:
            self._until.pop((host, whose, scopes.key), None)
