"""Token values: the response of an engine, the result for a caller, and the live token.

Times are seconds since the epoch (``expires_on``) or from now (``expires_in``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol

from nbauth.core.account import Account, AccountKey
from nbauth.core.secret import INSTEAD, MASK, SecretStr, refuse_pickling

Source = Literal["cache", "refresh", "flow"]
IN_PLACE_OF_A_TOKEN = (
    "pass nbauth.auth(), nbauth.session(), nbauth.credential() or"
    " nbauth.adapters.bearer.token_provider(). Their pickles contain no token."
)
"""What the error for pickling a token recommends."""


def refresh_margin(lifetime: float) -> float:
    """Seconds before expiry at which a token is renewed: a fifth of its lifetime, at most 300."""
    return min(lifetime / 5, 300.0)


@dataclass(frozen=True)
class Principal:
    """Who a token is for, if no ID token says so: an application, or the user of another program.

    Attributes:
        id: identifies the account at its authority; with a prefix such as ``app:``, so that it
            differs from the ids of people who signed in.
        username: for display.
        tenant_id: the tenant that issues the token, ``""`` if unknown.
        application: whether it is an application and not a person.
    """

    id: str
    username: str
    tenant_id: str = ""
    application: bool = False


@dataclass(frozen=True)
class TokenResponse:
    """The response of a token endpoint (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).

    ``scopes`` are the granted scopes. ``expires_in`` (seconds) counts from ``received_at`` (epoch
    seconds). ``refresh_expires_in`` is the lifetime of the refresh token, if the
    provider sends it (Keycloak's name; Microsoft's is ``refresh_token_expires_in``). ``principal``
    is set by flows whose responses have no ID token.
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
    principal: Principal | None = None

    @property
    def grant_ends_on(self) -> float | None:
        """When the refresh token expires, epoch seconds, if known."""
        told = self.refresh_expires_in
        return None if told is None else self.received_at + told

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, INSTEAD)


@dataclass(frozen=True)
class AuthenticationResult:
    """One token with its details.

    ``access_token`` is opaque and never parsed; the account comes from the ID token. ``source``
    says whether the token came from the cache, a refresh or a flow.
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
        refuse_pickling(self, IN_PLACE_OF_A_TOKEN)

    def __deepcopy__(self, memo: object) -> AuthenticationResult:
        return self

    def __copy__(self) -> AuthenticationResult:
        return self


class TokenDetails(Protocol):
    """What is known of a token; an ``AuthenticationResult`` is one."""

    @property
    def account(self) -> Account: ...
    @property
    def expires_on(self) -> float: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...


class TokenSource(Protocol):
    """The source of a live token: one account and its scopes, bound when the token was made."""

    @property
    def owner(self) -> AccountKey:
        """The account's key, also after sign-out."""

    def read(self) -> SecretStr:
        """The text of the token, renewed if necessary."""

    def result(self) -> TokenDetails:
        """The details of the same token."""


class Token:
    """An access token that is refreshed before it expires: every read returns a valid one.

    A read is fast: it refreshes the token only if the token expires soon. The token keeps its
    client, account and scopes. If a sign-in is needed and no person can answer, a read raises an
    error and does not wait.

    A read may raise ``NotSignedIn``, ``InteractionRequired`` or ``AuthorityUnreachable``.
    """

    __slots__ = ("_source",)

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    @property
    def owner(self) -> AccountKey:
        """The account's key, also after sign-out."""
        return self._source.owner

    @property
    def value(self) -> SecretStr:
        """The access token, refreshed if necessary."""
        return self._source.read()

    @property
    def header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer …"}`` (RFC 6750 §2.1) with the current access token."""
        return {"Authorization": SecretStr(f"Bearer {self._source.read()}")}

    @property
    def expires_on(self) -> float:
        """When the current access token expires, epoch seconds."""
        return self._source.result().expires_on

    @property
    def expires_in(self) -> float:
        """Seconds until the current access token expires."""
        return self._source.result().expires_on - time.time()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes."""
        return self._source.result().scopes

    @property
    def account(self) -> Account:
        """The account."""
        return self._source.result().account

    def __str__(self) -> str:
        return str(self._source.read())

    def __format__(self, spec: str) -> str:
        return format(str(self._source.read()), spec)

    def __add__(self, text: str) -> str:
        return str(self) + text if isinstance(text, str) else NotImplemented

    def __radd__(self, text: str) -> str:
        return text + str(self) if isinstance(text, str) else NotImplemented

    def __repr__(self) -> str:
        return f"<nbauth.{type(self).__name__} {MASK}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, IN_PLACE_OF_A_TOKEN)

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: object) -> Token:
        return self


class IdToken(Token):
    """An ID token that is renewed before it expires: every read returns a valid one.

    Its audience is the client, whatever scopes were requested. A provider may issue a new one only
    at a sign-in; a read then raises ``InteractionRequired`` when the present one ends.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "call nbauth.token(id=True) in the other process.")
