"""One access token in the cache, with its times."""

from __future__ import annotations

import time

from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult, Source, TokenResponse, refresh_margin
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.client import Client

CLOCK_SKEW = 300.0
"""Seconds by which a token may have come later than now, where clocks have been put right."""


class CachedToken:
    """An access token with its times. ``fresh`` is asked on every use, so it is cheap.

    Attributes:
        response: what the provider answered.
        grant: what it is renewed by.
        asked: the scopes that it was asked for, as they were written.
        client: the client by which it came, whose proxies and certificates renew it.
        used: whether somebody has read it since it came.
    """

    __slots__ = (
        "_ends", "_from_cache", "_of", "_until", "_until_wall", "asked", "client", "expires_on",
        "grant", "response", "used",
    )  # fmt: skip

    def __init__(
        self, response: TokenResponse, grant: Grant, asked: Scopes, client: Client
    ) -> None:
        self.response = response
        self.grant = grant
        self.asked = asked
        self.client = client
        self.expires_on = response.received_at + response.expires_in
        self.used = True
        self._of: SignedIn | None = None
        self._from_cache: AuthenticationResult | None = None
        good_for = response.expires_in - refresh_margin(response.expires_in)
        age = max(0.0, time.time() - response.received_at)
        # Both clocks: the wall clock may be set back, the monotonic one stands still in sleep.
        self._until = time.monotonic() + good_for - age
        self._until_wall = response.received_at + good_for
        self._ends = time.monotonic() + response.expires_in - age
        if response.received_at > time.time() + CLOCK_SKEW:  # nobody knows how old it is
            self._until = self._ends = time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether more than the margin is left."""
        return time.monotonic() < self._until and time.time() < self._until_wall

    @property
    def fresh_for(self) -> float:
        """Seconds until it has to be replaced; less than 0 when that is past."""
        return min(self._until - time.monotonic(), self._until_wall - time.time())

    @property
    def valid(self) -> bool:
        """Whether a resource would still take it."""
        return time.time() < self.expires_on and time.monotonic() < self._ends

    def hold(self, seconds: float) -> None:
        """Be content with it for so long, after a refresh has failed."""
        left = min(seconds, (self.expires_on - time.time()) / 2)
        self._until = time.monotonic() + left
        self._until_wall = time.time() + left

    def serve(self, signed_in: SignedIn) -> AuthenticationResult | None:
        """What a caller gets who finds it here, put together once; ``None`` if it is not fresh."""
        if time.monotonic() >= self._until or time.time() >= self._until_wall:
            return None
        self.used = True
        if self._of is not signed_in:
            self._from_cache, self._of = self.result(signed_in, "cache"), signed_in
        return self._from_cache

    def result(self, signed_in: SignedIn, source: Source) -> AuthenticationResult:
        """All that is known of it, as callers get it."""
        return AuthenticationResult(
            access_token=self.response.access_token,
            token_type=self.response.token_type,
            expires_on=self.expires_on,
            scopes=self.response.scopes,
            account=signed_in.account,
            tenant_id=signed_in.account.tenant_id,
            unique_id=signed_in.unique_id,
            id_token=signed_in.id_token,
            id_token_claims=signed_in.id_token_claims,
            correlation_id=self.response.correlation_id,
            source=source,
        )
