"""Token requests without an authorization response: what ``Engine.obtain`` is asked for.

One class for each grant type. An engine raises ``FlowUnavailable`` for those that its authorities
do not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nbauth.core.secret import SecretStr


@dataclass(frozen=True)
class Password:
    """Resource owner password credentials (RFC 6749 §4.3).

    At Microsoft's authorities a federated user's password goes to the organisation's own server
    (WS-Trust, ``usernamemixed``), and its SAML assertion to the token endpoint (RFC 7522).
    """

    username: str
    password: SecretStr = field(repr=False)


@dataclass(frozen=True)
class IntegratedWindows:
    """Kerberos (SPNEGO, RFC 4559) at the organisation's server (WS-Trust, ``windowstransport``).

    ``username`` is a user principal name; ``""`` for the principal of the ticket.
    """

    username: str = ""


@dataclass(frozen=True)
class Broker:
    """The broker of the operating system; ``silent``: without its window."""

    username: str = ""
    silent: bool = False


@dataclass(frozen=True)
class ClientCredentials:
    """The application itself (RFC 6749 §4.4), with the engine's client credential."""


@dataclass(frozen=True)
class ManagedIdentity:
    """The identity of the Azure resource on which the kernel runs.

    ``client_id`` of a user-assigned identity; ``""`` for the system-assigned one.
    """

    client_id: str = ""


@dataclass(frozen=True)
class OnBehalfOf:
    """A token for an API in exchange for a user's token.

    Microsoft's on-behalf-of flow; RFC 8693 at other issuers.
    """

    token: SecretStr = field(repr=False)


@dataclass(frozen=True)
class ExtensionGrant:
    """A grant type of its own (RFC 6749 §4.5), with its parameters."""

    grant_type: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


TokenRequest = (
    Password
    | IntegratedWindows
    | Broker
    | ClientCredentials
    | ManagedIdentity
    | OnBehalfOf
    | ExtensionGrant
)
