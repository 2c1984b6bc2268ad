"""Accounts, and the keys that identify them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nbauth.core.errors import ConfigurationError
from nbauth.core.text import visible


class ClientKey(NamedTuple):
    """One application at one authority; ``issuer`` is the authority's full address."""

    issuer: str
    client_id: str


class AccountKey(NamedTuple):
    """One account of one client. Accounts are compared, stored, revoked and removed by this key."""

    issuer: str
    client_id: str
    home_account_id: str

    @property
    def client(self) -> ClientKey:
        """The client that the account belongs to."""
        return ClientKey(self.issuer, self.client_id)


@dataclass(frozen=True, repr=False)
class Account:
    """One person (or service) at one authority.

    Attributes:
        username: ``preferred_username`` of the ID token, else ``upn``, ``email`` or ``sub``.
            For display: two accounts may have the same one.
        name: the display name, ``""`` if the provider sends none.
        tenant_id: the tenant that issues the tokens (for a guest: the guest tenant), ``""`` outside
            Microsoft's authorities.
        home_account_id: ``uid.utid`` at Microsoft's authorities, else the ID token's ``sub``.
        authority: the authority's address.
        profile: the profile that the sign-in used.
        client_id: the application that the account signed in to.
        application: whether it is an application (a service identity), and not a person.
    """

    username: str
    name: str
    tenant_id: str
    home_account_id: str
    authority: str
    profile: str = "default"
    client_id: str = ""
    application: bool = False

    @cached_property
    def key(self) -> AccountKey:
        """The key that identifies this account."""
        return AccountKey(self.authority, self.client_id, self.home_account_id)

    @property
    def title(self) -> str:
        """The user name for display; of an application, with a word that says so."""
        return f"{self.username} (application)" if self.application else self.username

    def __repr__(self) -> str:
        head, at, domain = self.username.partition("@")
        return f"Account({visible(f'{head[:2]}•••{at}{domain}')}, profile={self.profile!r})"


Asked = Account | AccountKey | str
"""How a caller identifies an account: an ``Account``, a key, a user name or a home account id."""


def name_of(asked: Asked) -> str:
    """The name of an account, for messages."""
    if isinstance(asked, Account):
        return asked.username
    return asked.home_account_id if isinstance(asked, AccountKey) else asked


def key_of(account: Account | AccountKey) -> AccountKey:
    """The key that identifies an account."""
    return account.key if isinstance(account, Account) else account


def is_account(known: Account, asked: Asked) -> bool:
    """Whether ``asked`` identifies this account."""
    if isinstance(asked, AccountKey):
        return known.key == asked
    if isinstance(asked, Account):
        return known.key == asked.key
    return asked == known.home_account_id or asked.casefold() == known.username.casefold()


def may_be_one(one: Asked | None, other: Asked | None) -> bool:
    """Whether two names or keys may mean the same account."""
    if one is None or other is None:
        return True
    if isinstance(one, Account):
        return is_account(one, other)
    if isinstance(other, Account):
        return is_account(other, one)
    return name_of(one).casefold() == name_of(other).casefold()


def check_asked(asked: object) -> None:
    """Raise ``ConfigurationError`` for a value whose type cannot identify an account."""
    if not isinstance(asked, (str, Account, AccountKey)):
        raise ConfigurationError(
            f"A value of type {type(asked).__name__} does not identify an account.",
            code="bad_account",
            hint="Give a user name, a home_account_id, an Account or its key.",
        )


def check_client(asked: Asked | None, client: ClientKey) -> None:
    """Raise ``ConfigurationError`` for a value that is not an account of this client."""
    if asked is None or isinstance(asked, str):
        return
    check_asked(asked)
    key = asked if isinstance(asked, AccountKey) else asked.key
    if key.client == client:
        return
    profile = asked.profile if isinstance(asked, Account) else "default"
    raise ConfigurationError(
        f"{name_of(asked)} is an account of the client {key.client_id} at {key.issuer}; this call"
        f" uses the client {client.client_id} at {client.issuer}.",
        code="other_client",
        hint=f"Add the account's profile to the call: profile={profile!r}."
        if profile != "default"
        else "Add the account's client to the call: authority=…, client_id=….",
    )


def the_only_one(asked: Asked, found: list[Account]) -> None:
    """Raise ``ConfigurationError`` with a list of the accounts if several match."""
    if len(found) > 1:
        which = "; ".join(
            f"{known.username} of profile {known.profile!r}, client {known.client_id}"
            f" ({known.home_account_id})"
            for known in found
        )
        raise ConfigurationError(
            f"{name_of(asked)} matches {len(found)} accounts: {which}.",
            code="ambiguous_account",
            hint="Add the profile (--profile NAME), use the id in brackets as the account,"
            " or pass an account from nbauth.accounts() in Python.",
        )
