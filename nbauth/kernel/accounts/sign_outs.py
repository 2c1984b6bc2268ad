"""Counts sign-outs, so that the cache can refuse a sign-in that began before one of them."""

from __future__ import annotations

from nbauth.core.account import AccountKey, ClientKey


class SignOuts:
    """The number of sign-outs, and the last one of each account and client.

    Changed only while the lock of the cache is held.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last: dict[AccountKey | ClientKey | None, int] = {}

    def note(self, who: AccountKey | ClientKey | None) -> None:
        """An account, a client's accounts, or (``None``) all accounts have signed out."""
        self.count += 1
        self._last[who] = self.count

    def last_of(self, key: AccountKey) -> int:
        """The number of the last sign-out that concerns an account; 0 if there was none."""
        return max(self._last.get(who, 0) for who in (key, key.client, None))
