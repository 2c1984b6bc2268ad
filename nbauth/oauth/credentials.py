"""What a confidential client authenticates with. A credential is read each time it is used."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from nbauth.core.errors import ConfigurationError
from nbauth.core.regular_file import read_regular
from nbauth.core.secret import SecretStr, no_frames

MOST_BYTES = 100_000
"""Maximum size of an assertion file."""


@dataclass(frozen=True)
class ClientSecret:
    """A client secret (RFC 6749 §2.3.1).

    Attributes:
        read: reads it.
        method: how it is sent (RFC 7591 §2); ``""`` for the way that the metadata say.
    """

    read: Callable[[], SecretStr] = field(repr=False)
    method: str = ""

    def value(self) -> SecretStr:
        """Read it. Raises ``ConfigurationError``, also for a byte that is not UTF-8."""
        secret = self.read()
        if re.search("[\ud800-\udfff]", secret):  # how os.environ gives such a byte
            raise ConfigurationError(
                "The client secret contains a byte that is not UTF-8, so it cannot be sent.",
                code="no_client_secret",
                hint="Store the secret again where client_secret_from or the variable says.",
            )
        return secret


@dataclass(frozen=True)
class Certificate:
    """A certificate with its private key, in one PEM or PFX file (RFC 7523 §2.2).

    Attributes:
        path: of the file.
        password: reads the password of the key; called only if the key is encrypted.
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


@no_frames
def assertion_in(path: str, named_by: str) -> SecretStr:
    """The assertion in a file. Raises ``ConfigurationError`` if it cannot be read.

    ``named_by``: the variable or setting that names the file, for the message.
    """
    try:
        data = read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its path is invalid"
        raise _unreadable(path, named_by, why) from error
    if not data.isascii():  # an error of decode() would contain the assertion
        raise _unreadable(path, named_by, "it is not text")
    assertion = data.decode("ascii").strip()
    if not assertion:
        raise _unreadable(path, named_by, "it is empty")
    if any(character.isspace() for character in assertion):
        raise _unreadable(path, named_by, "it is not a single assertion")
    return SecretStr(assertion)


def no_credential() -> ConfigurationError:
    """The error for a flow that needs a credential if the client has none."""
    return ConfigurationError(
        "This flow needs the application's own credential, and none is set.",
        code="no_client_credential",
        hint="Set client_secret_from or client_certificate in the profile. At Microsoft's"
        " authorities the variables AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or"
        " AZURE_CLIENT_CERTIFICATE_PATH can name one too.",
    )


def _unreadable(path: str, named_by: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The assertion in {path} ({named_by}) cannot be read: {why}.",
        code="no_assertion",
        hint="The platform that issues the assertion writes this file; check that it is mounted.",
    )
