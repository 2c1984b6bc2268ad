"""What every engine does, and the values that it takes and gives.

An engine is stateless but for the provider's metadata: it holds no token.
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
from nbauth.oauth.offer import Offer


@dataclass(frozen=True)
class AuthorizationRequest:
    """What a sign-in asks for; all but the scopes is sent only as given.

    ``exact_scopes``: the scopes as they are, without those that name the account and make the
    sign-in last. ``prompt``, ``login_hint``, ``max_age`` (seconds) and ``claims`` (JSON): OpenID
    Connect Core §3.1.2.1; a prompt of ``UNSET``: none, not even the one that a refresh token needs.
    ``domain_hint`` and ``consent_also`` (asked at the authorize step only): Microsoft's
    "Acquire a token interactively". ``extra_parameters`` go into every request of the flow.
    """

    scopes: Scopes
    exact_scopes: bool = False
    prompt: str | None = None
    login_hint: str | None = None
    domain_hint: str | None = None
    max_age: int | None = None
    claims: str | None = None
    consent_also: tuple[str, ...] = ()
    extra_parameters: Mapping[str, str] = field(default_factory=dict)


BINDING = frozenset(
    {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
        "code_challenge_method", "grant_type", "code", "code_verifier", "device_code",
        "refresh_token", "client_secret", "client_assertion", "client_assertion_type",
    }
)  # fmt: skip
"""Parameters that make a request what it is: ``extra_parameters`` leaves them alone."""
UNSET = "unset"
"""The word for a ``prompt`` that is not sent."""


def extra_parameters(request: AuthorizationRequest) -> dict[str, str]:
    """The extra parameters, for every request of a flow; what the call itself says wins."""
    return {
        name: value
        for name, value in request.extra_parameters.items()
        if name not in BINDING and getattr(request, name, None) is None
    }


def with_extra_parameters(authorize_url: str, request: AuthorizationRequest) -> str:
    """The address with the extra parameters, each name once."""
    extra = extra_parameters(request)
    if not extra:
        return authorize_url
    parts = urlsplit(authorize_url)
    sent = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode({**sent, **extra})))


@dataclass(frozen=True)
class PendingAuthorization:
    """An authorization request on its way; ``private`` is the engine's (verifier, nonce)."""

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
    """The person has not finished (RFC 8628 §3.5); ``slow_down``: ask 5 s less often from now."""

    def __init__(self, *, slow_down: bool = False) -> None:
        super().__init__("authorization_pending")
        self.slow_down = slow_down


class Engine(Protocol):
    """The protocol side of one client at one authority.

    Every method may raise ``AuthorityUnreachable`` (worth another try) and the errors of
    ``error_catalogue`` (not). ID tokens in a ``TokenResponse`` have been checked. What a sign-in
    brings names its account; what a refresh brings may name none.
    """

    authority: Authority
    client_id: str

    @property
    def issuer(self) -> str:
        """The metadata's issuer (OpenID Connect Discovery §4.3); asks the network once."""

    @property
    def sign_out_url(self) -> str:
        """Where the browser's session ends (OpenID Connect RP-Initiated Logout §2.1), or ``""``.

        Known once the network has been asked for anything.
        """

    def offer(self) -> Offer:
        """What the provider says that it offers; asks the network."""

    def authorize(
        self, request: AuthorizationRequest, receiving: Receiving
    ) -> PendingAuthorization:
        """Make the address to visit, with PKCE S256 (RFC 7636) and a nonce."""

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        """Exchange the code in an authorization response for tokens (RFC 6749 §4.1.3)."""

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        """Ask for a user code (RFC 8628 §3.1)."""

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        """Ask once whether the person has finished; raises ``AuthorizationPending`` if not."""

    def refresh(
        self,
        refresh_token: str,
        scopes: Scopes,
        claims: str | None = None,
        *,
        granted: Iterable[str] = (),
    ) -> TokenResponse:
        """New tokens for a refresh token (RFC 6749 §6); ``InteractionRequired`` if it is dead.

        At Microsoft's authorities for the scopes, whatever the token came with. Elsewhere for all
        that was granted with it: no scope is sent, since one that is narrower narrows the grant at
        some providers, and a wider one is refused. ``granted`` is that, for answers that tell none.
        """

    def revoke(self, refresh_token: str) -> bool:
        """Withdraw a refresh token (RFC 7009); ``False`` where that is not offered."""

    def abort(self) -> None:
        """Break off requests in flight in other threads."""

    def close(self) -> None:
        """Close its connections; a later request opens another."""
