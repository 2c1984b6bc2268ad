"""The interface of an identity: something outside nbauth that already has a sign-in.

Such as a tool in which the person has signed in, or the service on which the kernel runs. Each
identity becomes a flow (:mod:`nbauth.oauth.flows.by_identity`). A package can add one: an entry
point of the group ``nbauth.identities`` names a class or an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from nbauth.core.errors import NbAuthError
from nbauth.core.secret import MASK
from nbauth.core.tokens import Principal

ENTRA = "entra"
"""In ``Identity.issuers``: every authority of Microsoft Entra ID, in each cloud."""


class IdentityToken(NamedTuple):
    """An access token, and who it is for.

    Attributes:
        token: the access token. nbauth masks it.
        expires_on: when it expires, epoch seconds; ``None`` if the source does not say so.
        who: the account. Its ``id`` must be the same at each renewal, and another one for another
            account. nbauth puts the identity's name before it.
        scopes: the granted scopes, if the source says so and they are not those that were asked
            for.
        issuer: who issued it, if only the source knows that. nbauth refuses a token of another
            issuer than the profile's.
    """

    token: str
    expires_on: float | None
    who: Principal
    scopes: Sequence[str] = ()
    issuer: str = ""

    def __repr__(self) -> str:
        return f"<IdentityToken {MASK} for {self.who!r}>"


@runtime_checkable
class Identity(Protocol):
    """A source of tokens that needs no sign-in by nbauth.

    Attributes:
        name: the value of ``--flow``.
        detail: where the tokens come from, for the doctor's report.
        issuers: the issuers whose tokens it gives: addresses, or ``"entra"``; empty for any. For a
            profile with another authority, nbauth refuses the flow, so that the token is not sent
            to that profile's hosts.
    """

    name: str
    detail: str

    @property
    def issuers(self) -> Sequence[str]:
        """See the class."""

    def available(self) -> bool:
        """Whether it can be used here. It must be fast: no request, no program."""

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        """A token, each time a new or renewed one.

        Args:
            scopes: of one API; at Microsoft's authorities its ``.default``.
            tenant: the profile's tenant at Microsoft's authorities, ``""`` for any.
            claims: a claims request (OpenID Connect Core §5.5), as JSON.

        Raises an ``NbAuthError`` whose text says what to do. An ``InteractionRequired`` says that
        the person has to act outside nbauth; with ``AuthorityUnreachable``, a token that has not
        expired stays in use. The text of any other exception is shown without tokens.
        """


@runtime_checkable
class Explains(Protocol):
    """An identity that says why it cannot be used here; nbauth has one sentence for the others."""

    def missing(self) -> NbAuthError:
        """The error if ``available()`` is false: what is missing, and what to do."""
