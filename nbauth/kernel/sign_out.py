"""Selects whom a call signs out, and which sign-ins in progress end with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nbauth.core.account import AccountKey, Asked, key_of, name_of
from nbauth.core.errors import ConfigurationError, NbAuthError, NotSignedIn
from nbauth.core.magic_word import as_word
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.registry import Accounts
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.door import Door
from nbauth.kernel.sign_in.attempts import Attempts
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.attempt import SignIn


def _refuse_contradiction(
    account: Asked | None, *, all: bool, forget: bool, call: Mapping[str, Any]
) -> None:
    """Refuse a call that names whom to sign out, and everybody as well."""
    if account is not None and (all or forget):
        raise ConfigurationError(
            f"Both an account ({name_of(account)}) and {'all' if all else 'forget'} were given.",
            code="account_and_all",
            hint="Give only one of them."
            if all
            else "Give only one of them: forget signs out every account and deletes what is"
            " stored.",
        )
    if forget and any(value is not None for value in call.values()):
        raise ConfigurationError(
            "Both a client or profile and forget were given.",
            code="account_and_all",
            hint="Give only one of them: forget signs out the accounts of every client and deletes"
            " what is stored.",
        )


class SignOut:
    """Signs out.

    Args:
        door: reads which client a call names.
        cache, accounts: who is signed in.
        attempts: the sign-ins in progress.
    """

    def __init__(
        self, door: Door, cache: TokenCache, accounts: Accounts, attempts: Attempts
    ) -> None:
        self._door = door
        self._cache = cache
        self._accounts = accounts
        self._attempts = attempts

    def of(
        self,
        account: Asked | None,
        *,
        all: bool = False,
        revoke: bool = False,
        forget: bool = False,
        **call: Any,
    ) -> list[SignedIn]:
        """Sign out as a call requests it; see ``Session.logout``."""
        _refuse_contradiction(account, all=all, forget=forget, call=call)
        self._accounts.begin_sign_out()
        client = self._door.client_named(**call) if all else None
        if client is not None:
            self._cancel_all_of(client)
            keys = [key for key in self._accounts.everybody() if key.client == client.key]
        elif all or forget:
            self._cache.sign_out_arrivals()
            self._attempts.cancel()
            keys = self._accounts.everybody()
        elif account is not None:
            keys = self._named(self._door.client_named(**call), account)
        else:
            keys = self._current(self._door.client_named(**call))
        return self._accounts.sign_out(keys, revoke=revoke, forget=forget)

    def _named(self, client: Client | None, account: Asked) -> list[AccountKey]:
        """The account of that name; none if it is only signing in, and then that sign-in ends."""

        def about_to(pending: SignIn) -> bool:
            of_client = client is None or pending.request.client.key == client.key
            return of_client and _is_for(pending, account)

        try:
            key = self._accounts.the_one(client, account)
        except NotSignedIn:
            pending = [one for one in self._attempts.waiting() if about_to(one)]
            if not pending:
                raise
            _refuse_several(account, pending)
            self._attempts.cancel(lambda one: one in pending)
            return []
        record = self._cache.signed_in.get(key)
        self._attempts.cancel(partial(_asks_for, record))
        return [key]

    def _current(self, named: Client | None) -> list[AccountKey]:
        """The account for a sign-out without a name: the current one of the named or set client.

        If that client has none, the current account of another client, if there is only one.
        """
        try:
            client = named or self._door.client()
        except NbAuthError:  # invalid settings
            ended = self._attempts.cancel()
            key = None
        else:
            key = self._accounts.current(client)
            record = None if key is None else self._cache.signed_in.get(key)
            if record is None:
                ended = self._cancel_all_of(client)
            else:
                ended = self._attempts.cancel(partial(_may_be, record))
            if key is None and not ended:
                self._refuse_if_others(client)
        current = list(self._cache.current.values())
        if key is None and named is None and not ended and len(current) == 1:
            key = current[0]
        return [] if key is None else [key]

    def _cancel_all_of(self, client: Client) -> list[SignIn]:
        """End a client's sign-ins in progress, also one whose tokens have just arrived."""
        self._cache.sign_out_arrivals(client.key)
        return self._attempts.cancel(lambda pending: pending.request.client.key == client.key)

    def _refuse_if_others(self, client: Client) -> None:
        """Raise if no account is current, but others of the client are signed in."""
        others = [one for one in self._cache.accounts() if one.key.client == client.key]
        if others:
            names = ", ".join(other.username for other in others)
            raise NotSignedIn(
                f"There is no current account to sign out. Signed in: {names}.",
                hint=f"%logout --account {as_word(others[0].username)}, or %logout --all.",
            )


def _may_be(record: SignedIn, pending: SignIn) -> bool:
    """Whether a sign-in in progress may be for this account."""
    of_client = pending.request.client.key == record.key.client
    return of_client and (pending.request.asked is None or _asks_for(record, pending))


def _asks_for(record: SignedIn | None, pending: SignIn) -> bool:
    """Whether a sign-in in progress requests this account."""
    asked = pending.request.asked
    if record is None or asked is None or pending.request.client.key != record.key.client:
        return False
    return record.is_asked_for(asked)


def _is_for(pending: SignIn, account: Asked) -> bool:
    """Whether a sign-in in progress requests the account as it is named here."""
    asked = pending.request.asked
    if asked is None:
        return False
    if isinstance(account, str) or isinstance(asked, str):
        of_client = isinstance(account, str) or pending.request.client.key == key_of(account).client
        return of_client and name_of(asked).casefold() == name_of(account).casefold()
    return key_of(asked) == key_of(account)


def _refuse_several(account: Asked, pending: list[SignIn]) -> None:
    """Raise if people sign in with this name at several clients."""
    profiles = sorted({one.request.client.settings.profile for one in pending})
    if len({one.request.client.key for one in pending}) > 1:
        raise ConfigurationError(
            f"{name_of(account)} is signing in at several clients: {', '.join(profiles)}.",
            code="ambiguous_account",
            hint=f"Name one: %logout --account {as_word(name_of(account))} --profile"
            f" {as_word(profiles[0])}.",
        )
