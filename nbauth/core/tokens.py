"""Tokens as values: what an engine returns, what a caller gets, and the live one.

Times are seconds since the epoch (``expires_on``) or from now (``expires_in``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol

from nbauth.core.account import Account, AccountKey
from nbauth.core.secret import MASK, SecretStr, refuse_pickling

Source = Literal["cache", "refresh", "flow"]


def refresh_margin(lifetime: float) -> float:
    """Seconds before its end at which a token is replaced: a fifth of its life, at most 300."""
    return min(lifetime / 5, 300.0)


@dataclass(frozen=True)
class TokenResponse:
    """What a token endpoint answered (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).

    ``scopes`` is what was granted; ``received_at`` is when (epoch seconds), so that the relative
    ``expires_in`` (seconds) stays meaningful. ``refresh_expires_in``: of the refresh token, where
    the provider tells (Keycloak's name; Microsoft's is ``refresh_token_expires_in``).
    """

    access_token: SecretStr
    expires_in: float
    scopes: tuple[str, ...]
    received_at: float = field(default_factory=time.time)
    token_type: str = "Bearer"
    refresh_token: SecretStr | None = None
    refresh_expires_in: float | None = None
    id_token: SecretStr | None = None
    id_token_claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    client_info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    correlation_id: str | None = None

    @property
    def grant_ends_on(self) -> float | None:
        """When the refresh token ends, epoch seconds, where that is known."""
        told = self.refresh_expires_in
        return None if told is None else self.received_at + told

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "sign in again where it is needed.")


@dataclass(frozen=True)
class AuthenticationResult:
    """One token with all that is known of it.

    ``access_token`` is opaque and never parsed; who it is for comes from the ID token.
    ``source`` says whether it was cached, refreshed, or fetched by a flow just now.
    """

    access_token: SecretStr
    token_type: str
    expires_on: float
    scopes: tuple[str, ...]
    account: Account
    tenant_id: str
    unique_id: str = field(repr=False)
    id_token: SecretStr | None
    id_token_claims: Mapping[str, Any] = field(repr=False)
    correlation_id: str | None
    source: Source

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "call nbauth.acquire() where it is needed.")

    def __deepcopy__(self, memo: object) -> AuthenticationResult:
        return self

    def __copy__(self) -> AuthenticationResult:
        return self


class TokenSource(Protocol):
    """What a live token reads: one account's token for some scopes, bound when it was made."""

    @property
    def owner(self) -> AccountKey:
        """Whose token it is, known even after signing out."""

    def read(self) -> SecretStr:
        """The access token, fresh."""

    def result(self) -> AuthenticationResult:
        """The same with all that is known of it."""


class Token:
    """An access token that never goes stale: every reading asks its source for a fresh one.

    A reading costs a dictionary look-up while more than :func:`refresh_margin` seconds are left,
    and one silent refresh otherwise. It keeps the client, the account and the scopes that it was
    made with, and never prompts where nobody can answer.

    Raises (on reading): ``NotSignedIn``, ``InteractionRequired``, ``AuthorityUnreachable``.
    """

    __slots__ = ("_source",)

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    @property
    def owner(self) -> AccountKey:
        """The account that it was made for, known even after signing out."""
        return self._source.owner

    @property
    def value(self) -> SecretStr:
        """The access token, fresh."""
        return self._source.read()

    @property
    def header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer …"}`` (RFC 6750 §2.1), fresh now."""
        return {"Authorization": SecretStr(f"Bearer {self._source.read()}")}

    @property
    def expires_on(self) -> float:
        """When the present token ends, epoch seconds."""
        return self._source.result().expires_on

    @property
    def expires_in(self) -> float:
        """How long the present token lasts, seconds."""
        return self._source.result().expires_on - time.time()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes granted."""
        return self._source.result().scopes

    @property
    def account(self) -> Account:
        """Whose token it is."""
        return self._source.result().account

    def __str__(self) -> str:
        return str(self._source.read())

    def __format__(self, spec: str) -> str:
        return format(str(self._source.read()), spec)

    def __repr__(self) -> str:
        return f"<nbauth.Token {MASK}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "call nbauth.token() where it is needed.")

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: object) -> Token:
        return self
