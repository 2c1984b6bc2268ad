"""The return value of ``%accounts``: a list of accounts that is displayed as a table."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from nbauth.core.account import Account, AccountKey, Asked, name_of
from nbauth.core.errors import NbAuthError
from nbauth.core.magic_word import login_line
from nbauth.core.output import fitting
from nbauth.core.text import visible
from nbauth.kernel.session import Session

if TYPE_CHECKING:
    from nbauth.jupyter.display import AccountRow
    from nbauth.kernel.accounts.signed_in import SignedIn

NamesOf = Callable[[AccountKey], tuple[str, ...]]
SOON = 12 * 3600.0
"""Seconds. The table warns of a sign-in that ends sooner, because a long run may outlast it."""


def table_of(
    session: Session,
    profile: str | None = None,
    asked: Asked | None = None,
    names_of: NamesOf = lambda _: (),
) -> Table:
    """The signed-in accounts, limited to a profile's client, to an account, or to both.

    ``names_of``: returns the names of an account's variables.
    """
    client = session.client(profile=profile).key if profile else None
    known = session.accounts(profile=profile)
    accounts = [each for each in known if client in (None, each.key.client)]
    if asked is not None:
        records = list(session.cache.signed_in.values())
        called = {record.key for record in records if record.is_asked_for(asked)}
        accounts = [account for account in accounts if account.key in called]
    return Table(accounts, session, _nobody(profile, asked), names_of)


def _nobody(profile: str | None, asked: Asked | None) -> str:
    """What an empty table says."""
    from nbauth.jupyter.display import NOBODY

    if not profile and asked is None:
        return NOBODY
    who = "Nobody is" if asked is None else f"{name_of(asked)} is not"
    where = "with this profile" if profile else "here"
    login = login_line(profile or "", "" if asked is None else name_of(asked))
    return visible(f"{who} signed in {where}. Run {login}.")


class Table(list[Account]):
    """The accounts, with the session that has their tokens and grants."""

    def __init__(
        self,
        accounts: list[Account],
        session: Session,
        nobody: str,
        names_of: NamesOf = lambda _: (),
    ) -> None:
        super().__init__(accounts)
        self._names_of = names_of
        self._session = session
        self._nobody = nobody

    def _rows(self) -> list[AccountRow]:
        from nbauth.jupyter.display import AccountRow

        rows = []
        cache = self._session.cache
        current = set(cache.current.values())
        for record in self._records():
            tokens = cache.tokens_of(record.key)
            ends = max((token.expires_on for token in tokens), default=time.time())
            rows.append(
                AccountRow(
                    account=record.account.title,
                    tenant=record.account.tenant_id,
                    profile=record.account.profile,
                    scopes=tuple(dict.fromkeys(s for t in tokens for s in t.response.scopes)),
                    minutes_left=max(0, round((ends - time.time()) / 60)),
                    kept=record.kept,
                    current=record.key in current,
                    variables=self._names_of(record.key),
                )
            )
        return rows

    def _records(self) -> list[SignedIn]:
        """The records of those accounts that are still signed in."""
        known = self._session.cache.signed_in
        return [record for account in self if (record := known.get(account.key))]

    def first_line(self) -> str:
        """One account in one line: the current account of the configured client, else the first."""
        records = self._records()
        if not records:
            return self._nobody
        number = self._chosen(records)
        row = self._rows()[number]
        user, tenant, profile, scopes, left, kept = row.cells()
        name = visible(records[number].account.name)
        parts = [
            user + (f" ({name})" if name not in {"", user} else ""),
            *([f"tenant {tenant}"] if records[number].account.tenant_id else []),
            f"profile {profile}",
            f"scopes {scopes}",
            f"{left} min left",
            f"kept in {kept}",
            *([f"variables {visible(', '.join(row.variables))}"] if row.variables else []),
        ]
        more = f"; {len(records) - 1} more in %accounts" if len(records) > 1 else ""
        return f"{'; '.join(parts)}{more}"

    def _chosen(self, records: list[SignedIn]) -> int:
        current = self._session.cache.current
        try:
            here = current.get(self._session.client().key)
        except NbAuthError:  # the settings describe no client
            here = None
        keys = [record.key for record in records]
        return keys.index(here) if here in keys else 0

    def _endings(self) -> list[str]:
        """A line for each sign-in that ends soon and that no refresh can renew."""
        lines = []
        for record in self._records():
            grants = record.grants
            if record.flow:  # its tokens are renewed without a person
                continue
            alive = [grant for grant in grants if grant.usable]
            known = [grant.expires_on for grant in alive if grant.expires_on is not None]
            who = record.account.username
            if not alive:
                lines.append(f"{who} has to sign in again when the current token expires.")
            elif len(known) == len(alive) and max(known) - time.time() < SOON:
                minutes = max(0, round((max(known) - time.time()) / 60))
                lines.append(
                    f"The sign-in of {who} ends in {minutes} min. If your program needs more time,"
                    " sign in again before you start it (%login --force)."
                )
        return lines

    def _repr_html_(self) -> str:
        from nbauth.jupyter.display import accounts_html

        notes = "".join(f"<div>{escape(visible(line))}</div>" for line in self._endings())
        return accounts_html(self._rows(), self._nobody) + notes

    def __repr__(self) -> str:
        from nbauth.jupyter.display import accounts_text

        lines = [accounts_text(self._rows(), self._nobody), *map(visible, self._endings())]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(fitting(repr(self)))
