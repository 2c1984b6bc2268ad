"""One account with all that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbauth.core.account import Account, AccountKey, Asked, is_account
from nbauth.core.scopes import is_covered
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.grants import Grant, covering
from nbauth.oauth.answers import text_in
from nbauth.oauth.client import Client, name_in
from nbauth.oauth.engines.identity import no_identity

SUPERSEDED = 20
"""Grants of an account that are remembered only to be revoked with it; the oldest go first."""
NAMES = ("preferred_username", "upn", "email", "sub")
"""The claims by which a person may be called, the first that is there being the user name."""


class KeptBy(Protocol):
    """What keeps an account beyond this kernel: ``keeper.Keeper``."""

    kept: str

    def keeps(self, key: AccountKey) -> bool: ...
    def keep(self, key: AccountKey) -> bool: ...
    def used(self, key: AccountKey) -> None: ...
    def refreshing(self, key: AccountKey) -> AbstractContextManager[None]: ...
    def refreshed(self, key: AccountKey) -> bool: ...
    def forget(self, key: AccountKey) -> None: ...
    def leaving(self, key: AccountKey) -> AbstractContextManager[None]: ...


@dataclass
class SignedIn:
    """One account with all that it holds.

    Attributes:
        client: the client by which it signed in.
        sign_out_url: where the browser's own session at the provider ends.
        grants: what its tokens are renewed by, oldest first.
        superseded: grants that a later one covers; they are used no more, but revoked with it.
        keeper: what keeps it beyond this kernel.
        stamp: of what is kept of it, as far as that was taken in or written here; ``None`` for a
            sign-in of which nothing is kept yet, which no earlier sign-out elsewhere can mean.
        went_on: whether it has taken over grants of one that was kept, and nothing was kept since.
        beside: whether it signed in where another account was asked for; it becomes current only
            by ``use``.
    """

    account: Account
    client: Client = field(repr=False)
    unique_id: str
    id_token: SecretStr | None
    id_token_claims: Mapping[str, Any] = field(repr=False)
    sign_out_url: str = ""
    grants: list[Grant] = field(default_factory=list)
    superseded: list[Grant] = field(default_factory=list)
    keeper: KeptBy | None = None
    stamp: object | None = field(default=None, repr=False)
    went_on: bool = False
    beside: bool = False

    @property
    def kept(self) -> str:
        """Where it is kept: ``"memory"``, or the word of the persistence that has it."""
        return self.keeper.kept if self.keeper and self.keeper.keeps(self.key) else "memory"

    @property
    def unsaved(self) -> bool:
        """Whether a grant of this process's own is newer than what is kept of the account."""
        return any(grant.ours and not grant.kept for grant in (*self.grants, *self.superseded))

    @property
    def key(self) -> AccountKey:
        """What it is kept under."""
        return self.account.key

    def grants_for(self, scopes: frozenset[str]) -> list[Grant]:
        """The grants that may bring a token for the scopes, the best first.

        At Microsoft's authorities any may: a refresh token there is for all that was ever agreed
        to. Elsewhere it is for what was granted with it (RFC 6749 §6).
        """
        best = covering(self.grants, scopes)
        if not self.client.authority.microsoft:
            return best
        return best + [old for old in reversed(self.grants) if old.usable and old not in best]

    def go_on_from(self, known: SignedIn, grant: Grant) -> None:
        """Take over what an account had before it signed in anew, with this grant."""
        covered = [
            old for old in known.grants if grant.usable and is_covered(old.scopes, grant.scopes)
        ]
        self.grants = [old for old in known.grants if old not in covered]
        self.superseded = [*known.superseded, *covered][-SUPERSEDED:]
        self.keeper = known.keeper
        self.went_on = known.went_on or known.stamp is not None

    def drop_kept(self) -> None:
        """Let go of all that it went on from, which another kernel has signed out."""
        self.grants = [grant for grant in self.grants if not grant.kept]
        self.superseded = [grant for grant in self.superseded if not grant.kept]
        self.went_on = False

    def merge(self, kept: SignedIn) -> None:
        """Take in the grants that are kept of it: the newest of each, but of those made since."""
        older = [grant for grant in self.grants if grant.older and not grant.kept]
        made_here = [grant for grant in self.grants if not grant.kept and not grant.older]
        good = [new for new in made_here if new.ours and new.usable]
        covered = [
            old for old in kept.grants if any(is_covered(old.scopes, new.scopes) for new in good)
        ]
        not_kept = [old for old in self.superseded if not old.kept]
        self.beside = self.beside and kept.beside
        self.stamp, self.went_on = kept.stamp, False
        self.grants = [*older, *(old for old in kept.grants if old not in covered), *made_here]
        self.superseded = [*kept.superseded, *covered, *not_kept][-SUPERSEDED:]

    def put_below(self, older: list[Grant]) -> None:
        """Take in grants that were made elsewhere, as the oldest."""
        there = [grant.record() for grant in (*self.grants, *self.superseded)]
        tokens = {record["refresh_token"] for record in there}
        new = [grant for grant in older if grant.record()["refresh_token"] not in tokens]
        for grant in new:
            grant.older = True
        self.grants = [*new, *self.grants]

    def is_asked_for(self, asked: Asked) -> bool:
        """Whether it is the account that was asked for, by any name that its ID token has."""
        if is_account(self.account, asked):
            return True
        return isinstance(asked, str) and asked.casefold() in self.names

    @property
    def names(self) -> frozenset[str]:
        """The user name and its other names, in one case."""
        named = (str(self.id_token_claims.get(name) or "") for name in NAMES[:-1])
        return frozenset(name.casefold() for name in (self.account.username, *named) if name)


def signed_in_from(client: Client, response: TokenResponse, sign_out_url: str = "") -> SignedIn:
    """Read who signed in from a response: from its checked ID token, never its access token.

    Raises ``SignInError`` where nothing names the account.
    """
    claims, info = response.id_token_claims, response.client_info
    # Elsewhere oid is nobody's name: at some providers it is the organisation's.
    names = ("oid", "sub") if client.authority.microsoft else ("sub",)
    unique = next((text for name in names if (text := text_in(claims, name))), "")
    uid, utid = text_in(info, "uid"), text_in(info, "utid")
    home = ".".join(filter(None, (uid, utid))) if uid else ""  # a tenant alone names nobody
    if not (home or unique):  # all whom nothing names would be one account
        raise no_identity("nothing else names the account")
    account = Account(
        username=name_in(claims, *NAMES) or "unnamed",
        name=name_in(claims, "name"),
        tenant_id=str(claims.get("tid", "")) if client.authority.microsoft else "",
        home_account_id=home or unique,
        authority=client.authority.url,
        profile=client.settings.profile,
        client_id=client.client_id,
    )
    return SignedIn(account, client, unique, response.id_token, claims, sign_out_url)
