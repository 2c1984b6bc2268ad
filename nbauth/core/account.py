"""Who is signed in, and the keys by which accounts are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nbauth.core.errors import ConfigurationError


class ClientKey(NamedTuple):
    """One application at one authority; ``issuer`` is the authority's whole address."""

    issuer: str
    client_id: str


class AccountKey(NamedTuple):
    """One account of one client. Accounts are compared, kept, revoked and removed by this alone."""

    issuer: str
    client_id: str
    home_account_id: str

    @property
    def client(self) -> ClientKey:
        """The client that it belongs to."""
        return ClientKey(self.issuer, self.client_id)


@dataclass(frozen=True, repr=False)
class Account:
    """One person (or service) at one authority, as this kernel knows them.

    Attributes:
        username: ``preferred_username`` of the ID token, else ``upn``, ``email`` or ``sub``.
            For people: two accounts may share one.
        name: the display name, ``""`` where the provider gives none.
        tenant_id: the directory the tokens come from (a guest's: the guest tenant), ``""`` outside
            Microsoft's authorities.
        home_account_id: ``uid.utid`` at Microsoft's authorities, else the ID token's ``sub``.
        authority: the authority's address.
        profile: the profile it was signed in with.
        client_id: the application it was signed in to.
    """

    username: str
    name: str
    tenant_id: str
    home_account_id: str
    authority: str
    profile: str = "default"
    client_id: str = ""

    @cached_property
    def key(self) -> AccountKey:
        """What tells it apart from every other account."""
        return AccountKey(self.authority, self.client_id, self.home_account_id)

    def __repr__(self) -> str:
        head, at, domain = self.username.partition("@")
        return f"Account({head[:2]}•••{at}{domain}, profile={self.profile!r})"


Asked = Account | AccountKey | str
"""How a caller names an account: by itself, by its key, or by user name or home account id."""


def name_of(asked: Asked) -> str:
    """The name of an account, for a person, however it was given."""
    if isinstance(asked, Account):
        return asked.username
    return asked.home_account_id if isinstance(asked, AccountKey) else asked


def key_of(account: Account | AccountKey) -> AccountKey:
    """What tells it apart from every other account."""
    return account.key if isinstance(account, Account) else account


def is_account(known: Account, asked: Asked) -> bool:
    """Whether an account is the one asked for."""
    if isinstance(asked, AccountKey):
        return known.key == asked
    if isinstance(asked, Account):
        return known.key == asked.key
    return asked == known.home_account_id or asked.casefold() == known.username.casefold()


def check_asked(asked: object) -> None:
    """Raise ``ConfigurationError`` for what names no account."""
    if not isinstance(asked, (str, Account, AccountKey)):
        raise ConfigurationError(
            f"A {type(asked).__name__} names no account.",
            code="bad_account",
            hint="Give a user name, a home_account_id, an Account or its key.",
        )


def check_client(asked: Asked | None, client: ClientKey) -> None:
    """Raise ``ConfigurationError`` for what is no account, and for one of another client."""
    if asked is None or isinstance(asked, str):
        return
    check_asked(asked)
    key = asked if isinstance(asked, AccountKey) else asked.key
    if key.client == client:
        return
    profile = asked.profile if isinstance(asked, Account) else "default"
    raise ConfigurationError(
        f"{name_of(asked)} is an account of the client {key.client_id} at {key.issuer}; this call"
        f" is for {client.client_id} at {client.issuer}.",
        code="other_client",
        hint=f"Name its profile in the call: profile={profile!r}."
        if profile != "default"
        else "Name its client in the call: authority=…, client_id=….",
    )


def the_only_one(asked: Asked, found: list[Account]) -> None:
    """Raise ``ConfigurationError`` if a name stands for several accounts, saying which."""
    if len(found) > 1:
        which = "; ".join(
            f"{known.username} of profile {known.profile!r}, client {known.client_id}"
            f" ({known.home_account_id})"
            for known in found
        )
        raise ConfigurationError(
            f"{name_of(asked)} names {len(found)} accounts: {which}.",
            code="ambiguous_account",
            hint="Name the profile too (--profile NAME), or the account by the id in brackets,"
            " or in Python one of nbauth.accounts().",
        )
