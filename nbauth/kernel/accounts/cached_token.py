"""One access token in the cache, with its times."""

from __future__ import annotations

import time

from nbauth.core.scopes import CAPABLE, Scopes
from nbauth.core.tokens import AuthenticationResult, Source, TokenResponse, refresh_margin
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client

CLOCK_SKEW = 300.0
"""Seconds by which a token's time of receipt may be in the future, after a clock correction."""


class CachedToken:
    """An access token with its times. ``fresh`` is read on every use, so it is cheap.

    Attributes:
        response: the token response.
        grant: renews it.
        asked: the requested scopes, as they were written.
        client: the client that got it; its proxies and certificates are used to renew it.
        used: whether a caller has read it since it came.
        fulfils: what a host required when the token was requested.
    """

    __slots__ = (
        "_ends", "_from_cache", "_of", "_until", "_until_wall", "asked", "client", "expires_on",
        "fulfils", "grant", "response", "used",
    )  # fmt: skip

    def __init__(
        self,
        response: TokenResponse,
        grant: Grant,
        asked: Scopes,
        client: Client,
        fulfils: Requirement | None = None,
    ) -> None:
        self.fulfils = fulfils
        self.response = response
        self.grant = grant
        self.asked = asked
        self.client = client
        self.expires_on = response.received_at + response.expires_in
        self.used = True
        self._of: SignedIn | None = None
        self._from_cache: AuthenticationResult | None = None
        good_for = response.expires_in - grant.margin * refresh_margin(response.expires_in)
        age = max(0.0, time.time() - response.received_at)
        # Both clocks: the wall clock may be set back, the monotonic clock stops during sleep.
        self._until = time.monotonic() + good_for - age
        self._until_wall = response.received_at + good_for
        self._ends = time.monotonic() + response.expires_in - age
        if response.received_at > time.time() + CLOCK_SKEW:  # its age is unknown
            self._until = self._ends = time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether more time than the refresh margin is left."""
        return time.monotonic() < self._until and time.time() < self._until_wall

    @property
    def fresh_for(self) -> float:
        """Seconds until it has to be renewed; negative if that time is past."""
        return min(self._until - time.monotonic(), self._until_wall - time.time())

    @property
    def valid(self) -> bool:
        """Whether a resource would still accept it."""
        return time.time() < self.expires_on and time.monotonic() < self._ends

    @property
    def granted(self) -> frozenset[str]:
        """What it covers, in the form of ``Scopes.key``."""
        granted = self.client.granted(self.response.scopes)
        return granted | {CAPABLE} if self.asked.declares else granted

    def may_serve(self, refused: str | None, required: Requirement | None) -> bool:
        """Whether it may serve a call whose host refused a token, or required something.

        A call that requires something without a refused token wants a new token in any case.
        """
        if self.response.access_token == refused:
            return False
        return required is None or (refused is not None and self.fulfils == required)

    def copy(self) -> CachedToken:
        """The same token, with times of its own."""
        return CachedToken(self.response, self.grant, self.asked, self.client, self.fulfils)

    def outdate(self) -> None:
        """Renew it at its next use; it stays valid."""
        self._until = time.monotonic()

    def treat_as_fresh(self, seconds: float) -> None:
        """Treat it as fresh for this long, after a failed refresh."""
        left = min(seconds, (self.expires_on - time.time()) / 2)
        self._until = time.monotonic() + left
        self._until_wall = time.time() + left

    def serve(self, signed_in: SignedIn) -> AuthenticationResult | None:
        """Return the result for callers, built once; ``None`` if the token is not fresh."""
        if time.monotonic() >= self._until or time.time() >= self._until_wall:
            return None
        self.used = True
        if self._of is not signed_in:
            self._from_cache, self._of = self.result(signed_in, "cache"), signed_in
        return self._from_cache

    def forget_result(self) -> None:
        """Build the result of :meth:`serve` again."""
        self._of = None

    def result(self, signed_in: SignedIn, source: Source) -> AuthenticationResult:
        """The result for callers."""
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
