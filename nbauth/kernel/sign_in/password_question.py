"""Answers the step ``AskPassword``: from the keyring, else from the person."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    InteractionRequired,
    NbAuthError,
    SignInCancelled,
    SignInExpired,
)
from nbauth.core.log import word
from nbauth.core.person import say_to
from nbauth.core.secret import SecretStr
from nbauth.core.steps import AskPassword
from nbauth.core.value_readers import text

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.protocol import Driven, Screen

log = logging.getLogger(__name__)
Answer = tuple[str, SecretStr]
"""The user name and the password."""
_NOT_OF_THE_PASSWORD = (
    AuthorityUnreachable, ConfigurationError, SignInCancelled, SignInExpired,
)  # fmt: skip


class PasswordQuestion:
    """The question of one flow. It holds an answer until the flow takes it.

    Args:
        sign_in, screen: the driver's.
    """

    def __init__(self, sign_in: Driven, screen: Screen) -> None:
        self._sign_in = sign_in
        self._screen = screen
        self._asked: AskPassword | None = None
        self._given: Answer | None = None
        self._stored_for = ""
        self._why: NbAuthError | None = None

    def stored(self, step: AskPassword) -> Answer | None:
        """The answer in the keyring; ``None`` if the person has to answer.

        The keyring is read once. Raises the reason if it has no password and nobody can answer.
        """
        self._why = step.refusal
        if step.refusal is not None:
            self.failed(step.refusal)
        settings, passwords = self._sign_in.request.client.settings, self._sign_in.passwords
        if step.attempt == 1:
            try:
                password = passwords.of(settings, step.username)
            except NbAuthError as error:
                self._why = error
            else:
                if password is not None:
                    log.debug("the password is from the keyring")
                    self._stored_for = step.username
                    if step.note and passwords.first_use():
                        say_to(self._screen, step.note)
                    return step.username, password
        if (obstacle := self._sign_in.obstacle) is not None:
            if self._why is not None:
                raise self._why
            raise InteractionRequired(
                f"Signing in needs a password. {obstacle.what}",
                code=obstacle.code,
                hint=obstacle.hint,
            )
        return None

    def open(self, step: AskPassword) -> AskPassword:
        """Accept an answer from now on; return the step to show."""
        self._given, self._asked = None, step
        note = step.note if step.note and self._sign_in.passwords.first_use() else ""
        return replace(step, note=note, refusal=self._why, id=secrets.token_hex(8))

    def give(self, username: str, password: str) -> None:
        """Take the person's answer. Raises ``ConfigurationError`` if it is incomplete."""
        if self._asked is None:
            raise ConfigurationError(
                "This sign-in is not waiting for a password.", code="not_waiting"
            )
        try:
            name = text(username)
        except ValueError as error:
            raise ConfigurationError(
                f"The user name {error}.",
                code="no_username",
                hint="Enter your user name and your password.",
            ) from None
        if not isinstance(password, str) or not password:
            raise ConfigurationError(
                "The password is missing.", code="no_password", hint="Enter your password."
            )
        self._given = name, SecretStr(password)  # first: after an interrupt here it is taken
        self._asked = None

    def take(self) -> Answer | None:
        """The person's answer, if it is there; it is kept no longer."""
        given, self._given = self._given, None
        return given

    def failed(self, error: NbAuthError) -> None:
        """The flow has failed: a password from the keyring is not sent again."""
        username, self._stored_for = self._stored_for, ""
        if username and not isinstance(error, _NOT_OF_THE_PASSWORD):
            log.debug("the password from the keyring was refused (%s)", word(error.code))
            settings = self._sign_in.request.client.settings
            self._sign_in.passwords.refused(settings, username, error)

    def close(self) -> None:
        """Accept and hold no answer."""
        self._asked = self._given = None
