"""The credential of a confidential client: a secret, a certificate, or an assertion in a file.

No setting contains a secret: the profile says where it is. Everything is read each time it is used,
so a new secret or certificate takes effect without a restart of the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from nbauth.core.errors import ConfigurationError, PersistenceError
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.oauth.credentials import (
    Certificate,
    ClientAssertion,
    ClientCredential,
    ClientSecret,
    assertion_in,
)

VARIABLE = "NBAUTH_CLIENT_SECRET"
PASSWORD_VARIABLE = "NBAUTH_CLIENT_CERTIFICATE_PASSWORD"
SOURCES = ("client_secret_from", "client_certificate", "client_assertion_file")
"""The settings that name a credential; a profile has at most one of them."""


def credential_of(settings: Settings) -> ClientCredential | None:
    """The client's credential; ``None`` for a public client.

    Raises ``ConfigurationError`` if the settings name several.
    """
    named = [name for name in SOURCES if getattr(settings, name)]
    if len(named) > 1:
        raise ConfigurationError(
            f"A client has one credential, but {' and '.join(named)} are set.",
            code="several_credentials",
            hint=f"Remove all but one: {', '.join(_where(settings, name) for name in named)}.",
        )
    if settings.client_certificate:
        path = settings.client_certificate
        password = partial(_password_of, settings)
        return Certificate(path, password, send_chain=settings.client_certificate_chain)
    if settings.client_assertion_file:
        path = settings.client_assertion_file
        return ClientAssertion(partial(assertion_in, path, "client_assertion_file"))
    read = secret_of(settings)
    method = settings.token_endpoint_auth_method or ""
    return None if read is None else ClientSecret(read, method)


def check_credential(settings: Settings) -> None:
    """Read the client's credential, if it has one. Raises ``ConfigurationError``."""
    credential = credential_of(settings)
    if isinstance(credential, Certificate):
        from nbauth.oauth.certificate import certificate_of

        certificate_of(credential)
    elif isinstance(credential, ClientSecret):
        credential.value()
    elif credential is not None:
        credential.read()


def secret_of(settings: Settings) -> Callable[[], SecretStr] | None:
    """A function that reads the client's secret; ``None`` if the settings name no place for one.

    The variable alone is not enough: it may hold the secret of another client.
    """
    if settings.client_secret_from == "environment":
        return _from_environment
    if settings.client_secret_from == "keyring":
        return partial(_from_keyring, service_of(settings), settings.client_id or "")
    return None


def service_of(settings: Settings) -> str:
    """The service name of a profile's secrets in the keyring."""
    return f"nbauth:{settings.profile}"


def _where(settings: Settings, name: str) -> str:
    return f"{name} ({settings.source(name)})"


def _from_environment() -> SecretStr:
    secret = os.environ.get(VARIABLE)
    if not secret:
        raise ConfigurationError(
            f"client_secret_from is environment, but the variable {VARIABLE} is not set.",
            code="no_client_secret",
            hint=f"Set {VARIABLE} before the kernel starts, or set client_secret_from to keyring.",
        )
    return SecretStr(secret)


def _from_keyring(service: str, client_id: str) -> SecretStr:
    from nbauth.persistence import keyring_entry

    try:
        secret = keyring_entry(service, client_id)
    except PersistenceError as error:
        raise ConfigurationError(
            f"The client secret cannot be read. {error}",
            code="no_client_secret",
            hint="Start or unlock the keyring and run %login again, or set client_secret_from to"
            f" environment and the variable {VARIABLE} to the secret.",
        ) from error
    if not secret:
        raise ConfigurationError(
            f"The keyring has no client secret: no entry {service!r} for {client_id}.",
            code="no_client_secret",
            hint=f"Store it with this command in a terminal: keyring set {service} {client_id}",
        )
    return SecretStr(secret)


def _password_of(settings: Settings) -> SecretStr:
    """The password of the certificate's private key; only asked for if the key is encrypted."""
    from nbauth.persistence import keyring_entry

    if password := os.environ.get(PASSWORD_VARIABLE):
        return SecretStr(password)
    service, client_id, why = service_of(settings), settings.client_id or "", ""
    try:
        if password := keyring_entry(service, client_id):
            return SecretStr(password)
    except PersistenceError as error:
        why = f" {error}"
    raise ConfigurationError(
        f"The private key in {settings.client_certificate} is encrypted, and neither the variable"
        f" {PASSWORD_VARIABLE} nor the keyring has its password.{why}",
        code="no_certificate_password",
        hint=f"Set {PASSWORD_VARIABLE}, or store the password with this command in a terminal:"
        f" keyring set {service} {client_id}",
    )
