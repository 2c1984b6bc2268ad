"""Grants: what an account's tokens are renewed with. One class for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from nbauth.core.errors import InteractionRequired, TokenError
from nbauth.core.scopes import Scopes, is_covered, plain_scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.challenge import Requirement

if TYPE_CHECKING:
    from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
    from nbauth.oauth.flows.record import Renew


class Grant(Protocol):
    """What a sign-in left to get tokens with; several access tokens may come from it.

    Attributes:
        scopes: the granted scopes, in the form of ``Scopes.key``.
        asked: the scopes that the sign-in requested, in the same form; a provider may grant fewer,
            or under other names.
        expires_on: when the sign-in itself expires (epoch seconds), if the provider says so.
        kept: whether this state is stored, so that another kernel may have renewed it since.
        ours: whether this process may renew, revoke and store it.
        older: whether it was imported, is older than all that is stored, and is not stored yet.
        margin: the part of the refresh margin that is left when its tokens are no longer used.
        elsewhere: whether another process renews it, and decides what only a sign-in can fulfil.
    """

    scopes: frozenset[str]
    asked: frozenset[str]
    expires_on: float | None
    kept: bool
    ours: bool
    older: bool
    margin: float
    elsewhere: bool

    @property
    def usable(self) -> bool:
        """Whether it may still get a token."""

    @property
    def flow(self) -> str:
        """The flow that renews it; ``""`` if it is renewed with a refresh token."""

    def covers(self, scopes: frozenset[str]) -> bool:
        """Whether it may get a token for these scopes, in the form of ``Scopes.key``."""

    def in_child(self, ask: Ask) -> Grant:
        """What a forked child has instead of it; ``ask``: asks the parent for a token."""

    def renew(
        self, engine: Engine, scopes: Scopes, required: Requirement | None, refused: str | None
    ) -> TokenResponse:
        """Get new tokens without asking the person. Raises as ``Engine.refresh`` does.

        ``required``: what the token has to fulfil. ``refused``: the text of a token that a host has
        refused.
        """

    def renewed(self, response: TokenResponse) -> None:
        """Take the new refresh token from a response, if it has one."""

    def replaced(self, refresh_token: SecretStr) -> None:
        """Take a new refresh token from a response that is otherwise not usable."""

    def end(self) -> None:
        """The provider has ended it: do not use it again."""

    def revoke(self, engine: Engine) -> bool:
        """Revoke it at the provider; ``False`` if the provider does not support that."""

    def record(self) -> Mapping[str, Any]:
        """What is stored of it, for JSON."""


Ask = Callable[[Scopes, Requirement | None, str | None], TokenResponse]
"""Asks another process for a token: of scopes, that fulfils this, instead of a refused one."""


@dataclass(eq=False)
class RefreshTokenGrant:
    """A refresh token (RFC 6749 §6); a rotating one works once. See :class:`Grant`."""

    refresh_token: SecretStr | None
    scopes: frozenset[str]
    expires_on: float | None = None
    kept: bool = False
    ours: bool = True
    older: bool = False
    asked: frozenset[str] = frozenset()
    flow: str = field(default="", init=False)
    margin: float = field(default=1.0, init=False)
    elsewhere: bool = field(default=False, init=False)

    @property
    def usable(self) -> bool:
        return self.refresh_token is not None

    def covers(self, scopes: frozenset[str]) -> bool:
        return is_covered(scopes, self.scopes)

    def in_child(self, ask: Ask) -> Grant:
        return KernelGrant(ask, self.scopes, kept=self.kept, asked=self.asked)

    def renew(
        self, engine: Engine, scopes: Scopes, required: Requirement | None, refused: str | None
    ) -> TokenResponse:
        assert self.refresh_token is not None
        granted = sorted(plain_scopes(self.scopes))
        return engine.refresh(self.refresh_token, scopes, _claims(required), granted=granted)

    def renewed(self, response: TokenResponse) -> None:
        if response.refresh_token:
            self.refresh_token = response.refresh_token
            self.kept = self.older = False
            self.expires_on = response.grant_ends_on

    def replaced(self, refresh_token: SecretStr) -> None:
        self.refresh_token = refresh_token
        self.kept = False

    def end(self) -> None:
        self.refresh_token = None

    def revoke(self, engine: Engine) -> bool:
        return self.refresh_token is None or engine.revoke(self.refresh_token)

    def record(self) -> Mapping[str, Any]:
        return {
            "refresh_token": None if self.refresh_token is None else str(self.refresh_token),
            "scopes": sorted(self.scopes),
            "asked": sorted(self.asked),
            "expires_on": self.expires_on,
        }

    @classmethod
    def from_record(cls, kept: Mapping[str, Any]) -> RefreshTokenGrant:
        """The reverse of :meth:`record`. Raises ``KeyError``, ``TypeError``."""
        text = kept["refresh_token"]
        token = None if text is None else SecretStr(text)
        scopes, asked = frozenset(kept["scopes"]), frozenset(kept.get("asked", ()))
        return cls(token, scopes, kept["expires_on"], kept=True, asked=asked)


class WithoutRefreshToken:
    """What grants have in common that hold no refresh token: nothing is taken, ended or stored."""

    scopes: frozenset[str]

    def in_child(self, ask: Ask) -> Self:
        """Itself: it can be used, or refused, in each process."""
        return self

    def renewed(self, response: TokenResponse) -> None:
        """See :class:`Grant`."""

    def replaced(self, refresh_token: SecretStr) -> None:
        """See :class:`Grant`."""

    def end(self) -> None:
        """See :class:`Grant`."""

    def record(self) -> Mapping[str, Any]:
        """See :class:`Grant`."""
        return {"refresh_token": None, "scopes": sorted(self.scopes), "expires_on": None}


@dataclass(eq=False)
class KernelGrant(WithoutRefreshToken):
    """What a worker process has of a sign-in: it asks the notebook's kernel. See :class:`Grant`.

    The refresh token stays in the kernel. A rotating one works once: used in two processes, it
    would end the sign-in. A worker asks for the next token before the refresh margin begins. It can
    use the present one during most of the margin, so that nobody waits for the answer.

    Args:
        ask: asks the kernel.
    """

    ask: Ask = field(repr=False)
    scopes: frozenset[str]
    expires_on: float | None = None
    kept: bool = False
    ours: bool = False
    older: bool = False
    usable: bool = True
    asked: frozenset[str] = frozenset()
    flow: str = field(default="", init=False)
    margin: float = field(default=0.25, init=False)
    elsewhere: bool = field(default=True, init=False)

    def covers(self, scopes: frozenset[str]) -> bool:
        return True

    def renew(
        self, engine: Engine, scopes: Scopes, required: Requirement | None, refused: str | None
    ) -> TokenResponse:
        return self.ask(scopes, required, refused)

    def revoke(self, engine: Engine) -> bool:
        raise TokenError(
            "This is a worker process of the notebook's kernel, and only the kernel can revoke its"
            " tokens.",
            code="forked_process",
            hint="Sign out in the notebook.",
        )


@dataclass(eq=False)
class FlowGrant(WithoutRefreshToken):
    """A flow that gets each token without a person, such as a service identity. See :class:`Grant`.

    It is never stored, since each process can run the flow itself.
    """

    flow: str
    get: Renew = field(repr=False)
    request: AuthorizationRequest = field(repr=False)
    scopes: frozenset[str]
    asked: frozenset[str] = frozenset()
    expires_on: float | None = None
    kept: bool = True
    ours: bool = False
    older: bool = False
    usable: bool = True
    margin: float = field(default=1.0, init=False)
    elsewhere: bool = field(default=False, init=False)

    def covers(self, scopes: frozenset[str]) -> bool:
        return True

    def renew(
        self, engine: Engine, scopes: Scopes, required: Requirement | None, refused: str | None
    ) -> TokenResponse:
        try:
            asked = replace(self.request, scopes=scopes, claims=_claims(required))
            return self.get(engine, asked)
        except InteractionRequired as error:  # a panel of nbauth could not help
            raise TokenError(
                str(error),
                code=error.code,
                hint=error.hint,
                correlation_id=error.correlation_id,
                timestamp=error.timestamp,
            ) from error

    def revoke(self, engine: Engine) -> bool:
        return True


def _claims(required: Requirement | None) -> str | None:
    return None if required is None else required.claims


def covering(grants: Sequence[Grant], scopes: frozenset[str]) -> list[Grant]:
    """The usable grants that cover the scopes, the best first.

    First the grants whose granted scopes include them all; then those whose sign-in requested
    exactly these scopes, since the provider would grant the same again. Newest first in each group.
    """
    usable = [grant for grant in reversed(grants) if grant.usable]
    granted = [grant for grant in usable if grant.covers(scopes)]
    asked = [grant for grant in usable if grant not in granted and scopes == grant.asked]
    return granted + asked
