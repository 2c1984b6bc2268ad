"""One signed-in account with its grants."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbauth.core.account import Account, AccountKey, Asked, is_account
from nbauth.core.scopes import is_covered, undeclared
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Principal, TokenResponse
from nbauth.kernel.accounts.grants import Ask, Grant, covering
from nbauth.kernel.accounts.id_token_life import IdTokenLife, expires_on
from nbauth.oauth.answers import text_in
from nbauth.oauth.client import Client, name_in
from nbauth.oauth.engines.identity import no_identity

SUPERSEDED = 20
"""Grants of an account that are remembered only to revoke them; the oldest are dropped first."""
NAMES = ("preferred_username", "upn", "email", "sub")
"""The claims that may name a person; the first one present is the user name."""


class Store(Protocol):
    """Stores an account beyond this kernel: ``account_store.AccountStore``."""

    kept: str

    def keeps(self, key: AccountKey) -> bool: ...
    def keep(self, key: AccountKey) -> bool: ...
    def used(self, key: AccountKey) -> None: ...
    def refreshing(self, key: AccountKey) -> AbstractContextManager[None]: ...
    def refreshed(self, key: AccountKey) -> bool: ...
    def forget(self, key: AccountKey) -> None: ...
    def signing_out(self, key: AccountKey) -> AbstractContextManager[None]: ...


@dataclass
class SignedIn:
    """One signed-in account with its grants.

    Attributes:
        client: the client it signed in with.
        sign_out_url: where the browser signs out at the provider.
        grants: renew its tokens, oldest first.
        superseded: grants that a later one covers; not used any more, but revoked with it.
        store: stores it beyond this kernel.
        stamp: the stamp of the stored record that was last read or written here; ``None`` if
            nothing of this sign-in is stored yet, so an earlier sign-out elsewhere does not
            concern it.
        took_over_kept: whether it took over grants of a stored sign-in and was not stored since.
        beside: whether another account was requested at its sign-in; then it becomes current only
            by ``use``.
        chosen: whether the person has made it current.
        unasked: whether it was used because nobody could be asked.
        id_life: the times of the ID token, ``None`` if there is no ID token.
    """

    account: Account
    client: Client = field(repr=False)
    unique_id: str
    id_token: SecretStr | None
    id_token_claims: Mapping[str, Any] = field(repr=False)
    sign_out_url: str = ""
    grants: list[Grant] = field(default_factory=list)
    superseded: list[Grant] = field(default_factory=list)
    store: Store | None = None
    stamp: object | None = field(default=None, repr=False)
    took_over_kept: bool = False
    beside: bool = False
    chosen: bool = False
    unasked: bool = False
    id_life: IdTokenLife | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.id_token is not None and self.id_life is None:
            self.id_life = IdTokenLife(self.id_token_claims, received=False)

    @property
    def kept(self) -> str:
        """Where it is stored: ``"memory"``, or the name of the persistence."""
        return self.store.kept if self.store and self.store.keeps(self.key) else "memory"

    @property
    def never_stored(self) -> list[Grant]:
        """The grants of flows that renew their tokens themselves."""
        return [grant for grant in self.grants if grant.flow]

    @property
    def unsaved(self) -> bool:
        """Whether a grant of this process is newer than the stored record."""
        return any(grant.ours and not grant.kept for grant in (*self.grants, *self.superseded))

    @property
    def key(self) -> AccountKey:
        """The key of the account."""
        return self.account.key

    @property
    def flow(self) -> str:
        """The flow that renews its tokens; ``""`` for a person who signed in."""
        return self.grants[-1].flow if self.grants else ""

    def grants_for(self, scopes: frozenset[str]) -> list[Grant]:
        """The grants that may get a token for the scopes, the best first.

        At Microsoft's authorities that is any grant: a refresh token covers every consented scope.
        Elsewhere it covers what was granted with it (RFC 6749 §6).
        """
        best = covering(self.grants, undeclared(scopes))
        if not self.client.authority.microsoft:
            return best
        return best + [old for old in reversed(self.grants) if old.usable and old not in best]

    def take_over_from(self, known: SignedIn, grant: Grant) -> None:
        """Take over the grants from before this account signed in again with ``grant``."""
        covered = [
            old for old in known.grants if grant.usable and is_covered(old.scopes, grant.scopes)
        ]
        self.grants = [old for old in known.grants if old not in covered]
        self.superseded = [*known.superseded, *covered][-SUPERSEDED:]
        self.store = known.store
        self.chosen, self.unasked = known.chosen, self.unasked and known.unasked
        self.took_over_kept = known.took_over_kept or known.stamp is not None
        if self.id_token is None:  # it signed in without openid this time
            self._take_id_token_of(known)

    def take_id_token(self, response: TokenResponse) -> bool:
        """Take the ID token of a refresh, if it expires later than the present one."""
        claims = response.id_token_claims
        ends = expires_on(claims)
        if response.id_token is None or ends is None or self._ends_after(ends):
            return False
        self.id_token, self.id_token_claims = response.id_token, {**self.id_token_claims, **claims}
        self.id_life = IdTokenLife(claims, received=True)
        return True

    def _ends_after(self, time: float) -> bool:
        return self.id_life is not None and self.id_life.expires_on >= time

    def _take_id_token_of(self, other: SignedIn) -> None:
        self.id_token, self.id_life = other.id_token, other.id_life
        self.id_token_claims = {**self.id_token_claims, **other.id_token_claims}

    def drop_kept(self) -> None:
        """Drop the grants it took over from a stored sign-in that another kernel has signed out."""
        self.grants = [grant for grant in self.grants if not grant.kept or grant.flow]
        self.superseded = [grant for grant in self.superseded if not grant.kept]
        self.took_over_kept = False

    def merge(self, kept: SignedIn) -> None:
        """Merge the stored grants: they are the newest, except for those added here since."""
        older = [grant for grant in self.grants if grant.older and not grant.kept]
        made_here = [grant for grant in self.grants if not grant.kept and not grant.older]
        good = [new for new in made_here if new.ours and new.usable]
        covered = [
            old for old in kept.grants if any(is_covered(old.scopes, new.scopes) for new in good)
        ]
        not_kept = [old for old in self.superseded if not old.kept]
        if kept.id_life is not None and not self._ends_after(kept.id_life.expires_on):
            self._take_id_token_of(kept)
        self.beside = self.beside and kept.beside
        self.stamp, self.took_over_kept = kept.stamp, False
        stored = [old for old in kept.grants if old not in covered]
        self.grants = [*older, *stored, *made_here, *self.never_stored]
        self.superseded = [*kept.superseded, *covered, *not_kept][-SUPERSEDED:]

    def forked(self, ask: Ask) -> dict[Grant, Grant]:
        """In a forked child: replace the grants, which belong to the parent; return old to new."""
        parents = {old: old.in_child(ask) for old in self.grants}
        self.grants = [parents[grant] for grant in self.grants]
        self.superseded = []
        return parents

    def add_older(self, older: list[Grant]) -> None:
        """Add imported grants as the oldest."""
        there = [grant.record() for grant in (*self.grants, *self.superseded)]
        tokens = {record["refresh_token"] for record in there}
        new = [grant for grant in older if grant.record()["refresh_token"] not in tokens]
        for grant in new:
            grant.older = True
        self.grants = [*new, *self.grants]

    def is_asked_for(self, asked: Asked) -> bool:
        """Whether it is the requested account, by any name in its ID token."""
        if is_account(self.account, asked):
            return True
        return isinstance(asked, str) and asked.casefold() in self.names

    @property
    def names(self) -> frozenset[str]:
        """The user name and its other names, case-folded."""
        named = (str(self.id_token_claims.get(name) or "") for name in NAMES[:-1])
        return frozenset(name.casefold() for name in (self.account.username, *named) if name)


def signed_in_from(client: Client, response: TokenResponse, sign_out_url: str = "") -> SignedIn:
    """Read who signed in from the verified ID token of a response, never from the access token.

    Raises ``SignInError`` if nothing identifies the account.
    """
    if response.principal is not None:
        return _signed_in_as(response.principal, client)
    claims, info = response.id_token_claims, response.client_info
    # Elsewhere oid may identify the organisation instead of the person.
    names = ("oid", "sub") if client.authority.microsoft else ("sub",)
    unique = next((text for name in names if (text := text_in(claims, name))), "")
    uid, utid = text_in(info, "uid"), text_in(info, "utid")
    home = ".".join(filter(None, (uid, utid))) if uid else ""  # a tenant alone is no account
    if not (home or unique):  # without an identifier, all people would be one account
        raise no_identity("nothing else identifies the account")
    account = Account(
        username=name_in(claims, *NAMES) or "unnamed",
        name=name_in(claims, "name"),
        tenant_id=str(claims.get("tid", "")) if client.authority.microsoft else "",
        home_account_id=home or unique,
        authority=client.authority.url,
        profile=client.settings.profile,
        client_id=client.client_id,
    )
    life = IdTokenLife(claims, received=True) if response.id_token is not None else None
    return SignedIn(account, client, unique, response.id_token, claims, sign_out_url, id_life=life)


def _signed_in_as(who: Principal, client: Client) -> SignedIn:
    account = Account(
        username=who.username,
        name="",
        tenant_id=who.tenant_id,
        home_account_id=who.id,
        authority=client.authority.url,
        profile=client.settings.profile,
        client_id=client.client_id,
        application=who.application,
    )
    return SignedIn(account, client, who.id, None, {})
