"""The interface of all engines, and its argument and result types.

An engine caches the provider's metadata and is otherwise stateless: it holds no token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from nbauth.core.scopes import Scopes
from nbauth.core.steps import Receiving
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.credentials import ClientCredential
from nbauth.oauth.engines.token_requests import TokenRequest
from nbauth.oauth.offer import Offer


@dataclass(frozen=True)
class AuthorizationRequest:
    """The parameters of a sign-in; all except the scopes are sent unchanged.

    ``exact_scopes``: send only these scopes, without the added OpenID scopes. ``prompt``,
    ``login_hint``, ``max_age`` (seconds) and ``claims`` (JSON): OpenID Connect Core §3.1.2.1; a
    prompt of ``UNSET``: send none, not even the one needed for a refresh token. ``acr_values`` is
    sent by the engine for OpenID Connect only. ``domain_hint`` and
    ``consent_also`` (sent to the authorization endpoint only): Microsoft's "Acquire a token
    interactively". ``extra_parameters`` are added to every request of the flow. ``credential`` is
    an azure-core credential, for the flow of this name.
    """

    scopes: Scopes
    exact_scopes: bool = False
    prompt: str | None = None
    login_hint: str | None = None
    domain_hint: str | None = None
    max_age: int | None = None
    claims: str | None = None
    acr_values: str | None = None
    consent_also: tuple[str, ...] = ()
    extra_parameters: Mapping[str, str] = field(default_factory=dict)
    credential: Any = field(default=None, repr=False, compare=False)


BINDING = frozenset(
    {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
        "code_challenge_method", "grant_type", "code", "code_verifier", "device_code",
        "refresh_token", "client_secret", "client_assertion", "client_assertion_type",
    }
)  # fmt: skip
"""Parameters that ``extra_parameters`` must not override."""
UNSET = "unset"
"""The value of ``prompt`` for which none is sent."""


def extra_parameters(request: AuthorizationRequest) -> dict[str, str]:
    """The extra parameters for every request of a flow; parameters of the call override them."""
    return {
        name: value
        for name, value in request.extra_parameters.items()
        if name not in BINDING and getattr(request, name, None) is None
    }


def with_extra_parameters(authorize_url: str, request: AuthorizationRequest) -> str:
    """The address with the extra parameters added, without duplicates."""
    extra = extra_parameters(request)
    if not extra:
        return authorize_url
    parts = urlsplit(authorize_url)
    sent = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode({**sent, **extra})))


@dataclass(frozen=True)
class PendingAuthorization:
    """An authorization request in progress; ``private`` is for the engine (verifier, nonce)."""

    authorize_url: str = field(repr=False)
    state: str = field(repr=False)
    issuer: str
    requires_iss: bool
    private: Any = field(repr=False)


@dataclass(frozen=True)
class DeviceCode:
    """RFC 8628 §3.2; ``expires_in`` and ``interval`` in seconds."""

    user_code: str
    verification_uri: str
    expires_in: float
    interval: float
    verification_uri_complete: str | None = None
    message: str = ""
    private: Any = field(default=None, repr=False)


class AuthorizationPending(Exception):
    """The person has not finished (RFC 8628 §3.5); ``slow_down``: add 5 s to the interval."""

    def __init__(self, *, slow_down: bool = False) -> None:
        super().__init__("authorization_pending")
        self.slow_down = slow_down


class Engine(Protocol):
    """The protocol side of one client at one authority.

    Every method may raise ``AuthorityUnreachable``, which can be retried, and the errors of
    ``error_catalogue``, which cannot. ID tokens in a ``TokenResponse`` have been validated. The
    response of a sign-in identifies the account; the response of a refresh may not.
    """

    authority: Authority
    client_id: str
    credential: ClientCredential | None

    @property
    def issuer(self) -> str:
        """The metadata's issuer (OpenID Connect Discovery §4.3); sends a request the first time."""

    @property
    def sign_out_url(self) -> str:
        """The page that ends the browser's session (OpenID Connect RP-Initiated Logout §2.1).

        ``""`` if there is none, or before the first request.
        """

    def as_client(
        self, client_id: str, authority: Authority, credential: ClientCredential
    ) -> Engine:
        """An engine for another client, with the same network settings; close it after use."""

    def offer(self) -> Offer:
        """What the provider offers; sends a request."""

    def authorize(
        self, request: AuthorizationRequest, receiving: Receiving
    ) -> PendingAuthorization:
        """Create the authorization request, with PKCE S256 (RFC 7636) and a nonce."""

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        """Exchange the code in an authorization response for tokens (RFC 6749 §4.1.3)."""

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        """Request a user code (RFC 8628 §3.1)."""

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        """Poll once; raises ``AuthorizationPending`` if the person has not finished."""

    def obtain(self, wanted: TokenRequest, request: AuthorizationRequest) -> TokenResponse:
        """Tokens for another grant type; see :mod:`.token_requests`.

        ``FlowUnavailable`` if this authority does not have it.
        """

    def refresh(
        self,
        refresh_token: str,
        scopes: Scopes,
        claims: str | None = None,
        *,
        granted: Iterable[str] = (),
    ) -> TokenResponse:
        """New tokens for a refresh token (RFC 6749 §6); ``InteractionRequired`` if it is invalid.

        At Microsoft's authorities, the new access token is for ``scopes``. At other issuers it is
        for all granted scopes: no scope is sent, since some providers reduce the grant to a
        narrower scope, and reject a wider one. ``granted`` is used if the response has no scope.
        """

    def revoke(self, refresh_token: str) -> bool:
        """Revoke a refresh token (RFC 7009); ``False`` if the provider does not support it."""

    def abort(self) -> None:
        """Abort the requests of other threads."""

    def close(self) -> None:
        """Close the connections; a later request opens a new one."""
