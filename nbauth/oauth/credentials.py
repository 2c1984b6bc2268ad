"""What a confidential client authenticates with. A credential is read each time it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nbauth.core.secret import SecretStr


@dataclass(frozen=True)
class ClientSecret:
    """A client secret (RFC 6749 §2.3.1)."""

    read: Callable[[], SecretStr] = field(repr=False)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its private key, in one PEM or PFX file (RFC 7523 §2.2).

    Attributes:
        path: of the file.
        password: reads the password of the key; ``None`` if the key is not encrypted.
        send_chain: whether assertions contain the certificate (``x5c``, RFC 7515 §4.1.6), so that
            the provider can check its subject name and issuer instead of its thumbprint.
    """

    path: str
    password: Callable[[], SecretStr] | None = field(default=None, repr=False)
    send_chain: bool = False


@dataclass(frozen=True)
class ClientAssertion:
    """An assertion that another service has signed (RFC 7521 §4.2), such as workload identity."""

    read: Callable[[], SecretStr] = field(repr=False)


ClientCredential = ClientSecret | Certificate | ClientAssertion
