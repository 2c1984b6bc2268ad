"""Reads a user's password from the keyring, for the flow ``password``.

The person stores it there; nbauth never stores a password.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable

from nbauth.core.errors import InteractionRequired, NbAuthError, PersistenceError
from nbauth.core.log import word
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.kernel.client_credential import service_of

log = logging.getLogger(__name__)
NO_KEYRING = frozenset({"no_keyring", "plain_keyring"})
"""Errors of a machine without a keyring, which therefore has no entry."""


class StoredPasswords:
    """The passwords in the keyring. One that was refused is not sent again by this process.

    Otherwise the calls of an unattended run could lock the account.

    Args:
        read: for tests; the default reads the system's keyring.
    """

    def __init__(self, read: Callable[[str, str], str | None] | None = None) -> None:
        self._read = read
        self._key = secrets.token_bytes(32)
        self._given: dict[tuple[str, str], bytes] = {}
        self._refused: dict[tuple[str, str], tuple[bytes, NbAuthError]] = {}
        self._advised = False

    def of(self, settings: Settings, username: str) -> SecretStr | None:
        """The password of this user in the entry of the profile; ``None`` if there is none.

        Raises ``InteractionRequired`` for a keyring that cannot be read, and the provider's error
        again for a password that it has refused.
        """
        name = service_of(settings), username
        try:
            password = self._entry(*name) if username else None
        except PersistenceError as error:
            log.debug("the keyring cannot be read (%s)", word(error.code))
            if error.code in NO_KEYRING:
                return None
            raise InteractionRequired(
                f"The password in the keyring cannot be read. {error}",
                code="no_password",
                hint="Start or unlock the keyring, then try again.",
            ) from error
        if not password:
            return None
        # Hashes with a random key, so that no password stays in memory.
        digest = hmac.digest(self._key, password.encode(errors="surrogatepass"), "sha256")
        refused, error_then = self._refused.get(name, (b"", None))
        if error_then is not None and hmac.compare_digest(refused, digest):
            raise error_then.with_traceback(None)
        self._given[name] = digest
        return SecretStr(password)

    def refused(self, settings: Settings, username: str, why: NbAuthError) -> None:
        """Note that the provider has refused the password that was read last, and why."""
        name = service_of(settings), username
        if (digest := self._given.pop(name, None)) is not None:
            self._refused[name] = digest, why

    def first_use(self) -> bool:
        """Whether a password is used for the first time in this process."""
        first, self._advised = not self._advised, True
        return first

    def _entry(self, service: str, username: str) -> str | None:
        if self._read is not None:
            return self._read(service, username)
        from nbauth.persistence import keyring_entry

        return keyring_entry(service, username)
