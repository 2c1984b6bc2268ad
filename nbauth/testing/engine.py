"""An engine without a provider: it issues its own tokens and can be scripted to fail."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbauth.core.errors import AuthorityUnreachable, NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.steps import Receiving
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.credentials import ClientCredential
from nbauth.oauth.engines.protocol import (
    AuthorizationPending,
    AuthorizationRequest,
    DeviceCode,
    PendingAuthorization,
)
from nbauth.oauth.engines.token_requests import TokenRequest
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.offer import Offer

OFFERED = ("authorization", "token", "device_authorization", "userinfo", "revocation")
ISSUER = "https://id.example"
PENDING = AuthorizationPending()
SLOW_DOWN = AuthorizationPending(slow_down=True)
Outcome = TokenResponse | Exception | Callable[[], Any] | None


def unreachable() -> AuthorityUnreachable:
    """The error that an engine raises while the network is down."""
    return AuthorityUnreachable("id.example cannot be reached.", code="no_connection")


def refusal(error: str, description: str = "", **more: Any) -> NbAuthError:
    """The error that an engine raises for an error response (RFC 6749 §5.2)."""
    return error_from({"error": error, "error_description": description, **more})


class Gate:
    """Blocks a call: ``reached`` is set when it arrives, ``open()`` lets it continue."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def open(self) -> None:
        """Let the blocked calls continue."""
        self._opened.set()

    def pass_through(self, broken_off: threading.Event, patience: float = 20.0) -> None:
        """Wait until opened; raises ``AuthorityUnreachable`` if the engine is told to abort."""
        self.reached.set()
        until = time.monotonic() + patience
        while not self._opened.wait(0.005):
            if broken_off.is_set() or time.monotonic() > until:
                raise unreachable()


@dataclass(frozen=True)
class Call:
    """One request that a provider would have seen."""

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class FakeEngine:
    """See :class:`nbauth.oauth.engines.protocol.Engine`.

    Unless scripted, every sign-in succeeds as ``user`` and every refresh rotates: a refresh token
    works once, and using it again revokes all (RFC 9700 §4.14.2).

    Args:
        authority: its authority; default: an OpenID Connect issuer.
        client_id: its client.
        clock: returns ``received_at``.
        credential: of a confidential client.

    Attributes:
        user: who signs in next: a word such as ``"ada"``, also the ``sub``.
        lifetime: of the tokens it issues, in seconds.
        id_lifetime: of the ID tokens, in seconds; ``None``: as the other tokens.
        renews_id_tokens: whether a refresh returns an ID token.
        rotates: whether a refresh returns a new refresh token.
        ungranted: scopes that a refresh refuses with ``invalid_scope``, as without consent.
        interval, code_lifetime: of device codes, in seconds.
        offers_revocation: what ``revoke`` returns.
        calls: every call in order.
        live: the valid refresh tokens and their users; clear it to revoke them.
        reused: refresh tokens that were sent after they had become invalid.
        most_at_once: the largest number of simultaneous refreshes.
    """

    def __init__(
        self,
        authority: Authority | None = None,
        client_id: str = "notebooks",
        *,
        clock: Callable[[], float] = time.time,
        credential: ClientCredential | None = None,
        **_: Any,
    ) -> None:
        self.authority = authority or Authority("oidc", ISSUER)
        self.client_id = client_id
        self.credential = credential
        self.user = "ada"
        self.lifetime = 3600.0
        self.id_lifetime: float | None = None
        self.renews_id_tokens = True
        self.rotates = True
        self.ungranted: set[str] = set()
        self.interval = 0.01
        self.code_lifetime = 600.0
        self.offers_revocation = True
        self.calls: list[Call] = []
        self.reused: list[str] = []
        self.live: dict[str, str] = {}
        self.closed = 0
        self.at_once = 0
        self.most_at_once = 0
        self._clock = clock
        self._script: dict[str, deque[Outcome]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._broken_off = threading.Event()

    # ── scripting ───────────────────────────────────────────────────────────────────────────

    def will(self, method: str, *outcomes: Outcome) -> FakeEngine:
        """Queue the outcomes of the next calls of a method: a value, an exception or a callable.

        ``None`` means the default. A callable's result is the outcome, unless it is ``None``.
        """
        self._script[method].extend(outcomes)
        return self

    def hold(self, method: str, then: Outcome = None) -> Gate:
        """Block the next call of a method until the gate is opened or ``abort`` ends it.

        ``then`` is the outcome of the call after that.
        """
        gate = Gate()

        def held() -> Any:
            gate.pass_through(self._broken_off)
            return then() if callable(then) else then

        self.will(method, held)
        return gate

    def count(self, method: str) -> int:
        """The number of calls of a method."""
        return sum(call.method == method for call in self.calls)

    def response(
        self, scopes: Iterable[str], *, user: str | None = None, **changes: Any
    ) -> TokenResponse:
        """The token response it would return now."""
        user = user or self.user
        number = next(self._numbers)
        refresh_token = f"refresh-{user}-{number}"
        if "refresh_token" not in changes:
            with self._lock:
                self.live[refresh_token] = user
        now, lifetime = self._clock(), self.id_lifetime
        answer: dict[str, Any] = {
            "access_token": SecretStr(f"access-{user}-{number}"),
            "expires_in": self.lifetime,
            "scopes": tuple(scopes),
            "received_at": now,
            "refresh_token": SecretStr(refresh_token),
            "id_token": SecretStr(f"id-{user}-{number}"),
            "id_token_claims": {
                "iss": self.issuer,
                "aud": self.client_id,
                "sub": user,
                "iat": now,
                "exp": now + (self.lifetime if lifetime is None else lifetime),
                "name": user.title(),
                "preferred_username": f"{user}@example.com",
            },
        }
        return TokenResponse(**{**answer, **changes})

    # ── the protocol ────────────────────────────────────────────────────────────────────────

    @property
    def issuer(self) -> str:
        return self.authority.url

    @property
    def sign_out_url(self) -> str:
        return f"{self.issuer}/logout"

    def as_client(
        self, client_id: str, authority: Authority, credential: ClientCredential
    ) -> FakeEngine:
        self._called("as_client", client_id=client_id, authority=authority, credential=credential)
        other = copy.copy(self)  # with the same script, and the same list of calls
        other.client_id, other.authority, other.credential = client_id, authority, credential
        return other

    def offer(self) -> Offer:
        endpoints = {f"{name}_endpoint": f"{self.issuer}/{name}" for name in OFFERED}
        return self._called("offer") or Offer(self.issuer, self.issuer, endpoints=endpoints)

    def authorize(
        self, request: AuthorizationRequest, receiving: Receiving
    ) -> PendingAuthorization:
        redirect_uri, state = receiving.redirect_uri, receiving.state
        scripted = self._called("authorize", request=request, redirect_uri=redirect_uri)
        if scripted is not None:
            return scripted  # type: ignore[no-any-return]
        url = f"{self.issuer}/authorize?redirect_uri={redirect_uri}&state={state}"
        return PendingAuthorization(url, state, self.issuer, False, request)

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        scripted = self._called("redeem", answer=dict(answer))
        return scripted or self.response(pending.private.scopes)

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        scripted = self._called("start_device", request=request)
        return scripted or DeviceCode(
            user_code="WXYZ-1234",
            verification_uri=f"{self.issuer}/device",
            expires_in=self.code_lifetime,
            interval=self.interval,
            private=request,
        )

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        scripted = self._called("poll_device")
        return scripted or self.response(device.private.scopes)

    def obtain(self, wanted: TokenRequest, request: AuthorizationRequest) -> TokenResponse:
        scripted = self._called("obtain", wanted=wanted, request=request)
        return scripted or self.response(request.scopes)

    def refresh(
        self,
        refresh_token: str,
        scopes: Scopes,
        claims: str | None = None,
        *,
        granted: Iterable[str] = (),
    ) -> TokenResponse:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            scripted = self._called(
                "refresh", refresh_token=str(refresh_token), scopes=scopes, claims=claims
            )
            everywhere = () if self.authority.microsoft else tuple(granted)
            return scripted or self._refreshed(str(refresh_token), everywhere or tuple(scopes))
        finally:
            with self._lock:
                self.at_once -= 1

    def _refreshed(self, refresh_token: str, scopes: Iterable[str]) -> TokenResponse:
        if self.ungranted & set(scopes):
            raise refusal("invalid_scope")
        with self._lock:
            if refresh_token not in self.live:
                self.reused.append(refresh_token)
                self.live.clear()
                raise refusal("invalid_grant")
            user = self.live[refresh_token]
            if self.rotates:
                del self.live[refresh_token]
        rotated = {} if self.rotates else {"refresh_token": None}
        no_id_token: dict[str, Any] = (
            {} if self.renews_id_tokens else {"id_token": None, "id_token_claims": {}}
        )
        return self.response(scopes, user=user, **rotated, **no_id_token)

    def revoke(self, refresh_token: str) -> bool:
        self._called("revoke", refresh_token=str(refresh_token))
        with self._lock:
            self.live.pop(str(refresh_token), None)
        return self.offers_revocation

    def abort(self) -> None:
        self._called("abort")
        self._broken_off.set()

    def close(self) -> None:
        self.closed += 1

    def _called(self, method: str, **arguments: Any) -> Any:
        with self._lock:
            self.calls.append(Call(method, arguments))
            script = self._script[method]
            outcome = script.popleft() if script else None
        if isinstance(outcome, BaseException):
            raise outcome
        if callable(outcome):
            outcome = outcome()
            if isinstance(outcome, BaseException):
                raise outcome
        return outcome
