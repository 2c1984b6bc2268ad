"""Reads the secret of a client, for providers that require one even from desktop programs.

The secret is not a setting: the profile says where it is, and it is read when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from nbauth.core.errors import ConfigurationError, PersistenceError
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.oauth.credentials import ClientCredential, ClientSecret

VARIABLE = "NBAUTH_CLIENT_SECRET"


def secret_of(settings: Settings) -> Callable[[], SecretStr] | None:
    """A function that reads the client's secret; ``None`` if the settings name no place for one.

    The variable alone is not enough: it may hold the secret of another client.
    """
    if settings.client_secret_from == "environment":
        return _from_environment
    if settings.client_secret_from == "keyring":
        return partial(_from_keyring, service_of(settings), settings.client_id or "")
    return None


def credential_of(settings: Settings) -> ClientCredential | None:
    """The client's credential; ``None`` for a public client."""
    read = secret_of(settings)
    return None if read is None else ClientSecret(read)


def service_of(settings: Settings) -> str:
    """The service name of a profile's secrets in the keyring."""
    return f"nbauth:{settings.profile}"


def _from_environment() -> SecretStr:
    secret = os.environ.get(VARIABLE)
    if not secret:
        raise _none(
            f"client_secret_from is environment, but the variable {VARIABLE} is not set.",
            f"Set {VARIABLE} before the kernel starts, or set client_secret_from to keyring.",
        )
    return SecretStr(secret)


def _from_keyring(service: str, client_id: str) -> SecretStr:
    from nbauth.persistence import keyring_entry

    try:
        secret = keyring_entry(service, client_id)
    except PersistenceError as error:
        raise _none(
            f"The client secret cannot be read. {error}",
            "Start or unlock the keyring and run %login again, or set client_secret_from to"
            f" environment and the variable {VARIABLE} to the secret.",
        ) from error
    if not secret:
        raise _none(
            f"The keyring has no client secret: no entry {service!r} for {client_id}.",
            f"Store it with this command in a terminal: keyring set {service} {client_id}",
        )
    return SecretStr(secret)


def _none(sentence: str, hint: str) -> ConfigurationError:
    return ConfigurationError(sentence, code="no_client_secret", hint=hint)
