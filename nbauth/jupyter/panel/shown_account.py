"""The account that a panel shows, and the numbers of accounts in its messages."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nbauth.core.account import Account, AccountKey, ClientKey
from nbauth.core.errors import NbAuthError

if TYPE_CHECKING:
    from nbauth.kernel.session import Session


class ShownAccount:
    """Finds the account that one panel shows, and numbers the accounts for the browser.

    Args:
        session: has the signed-in accounts.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listed: list[Account] = []

    def current(self, client: ClientKey | None) -> tuple[AccountKey, Account] | None:
        """The current account of a client. For ``None``: of the configured client, else any."""
        cache = self._session.cache
        if client is not None:
            key = cache.find(client)
        else:
            key = self._present() or next(iter(list(cache.current.values())), None)
        account = cache.account(key) if key is not None else None
        return (key, account) if key is not None and account is not None else None

    def _present(self) -> AccountKey | None:
        with contextlib.suppress(NbAuthError):
            return self._session.cache.find(self._session.client().key)
        return None

    def number(self, account: Account) -> int:
        """The number of an account in messages. It does not change."""
        if account not in self._listed:
            self._listed.append(account)
        return self._listed.index(account)

    def numbered(self, number: int) -> Account:
        """The account with this number. Raises ``IndexError``."""
        return self._listed[number]

    def others(self, shown: AccountKey) -> list[tuple[int, Account]]:
        """The client's other accounts, each with its number."""
        others = []
        for key, record in list(self._session.cache.signed_in.items()):
            if key.client == shown.client and key != shown:
                others.append((self.number(record.account), record.account))
        return others
