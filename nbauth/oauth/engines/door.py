"""The one door out of a protocol library: what it raises becomes one of our errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.core.log import trail
from nbauth.core.secret import SecretStr
from nbauth.oauth.engines.protocol import AuthorizationPending
from nbauth.oauth.http import Http

log = logging.getLogger(__name__)


@contextmanager
def door() -> Iterator[None]:
    """Whatever is not ours already becomes a ``SignInError`` with its cause chained."""
    try:
        yield
    except (NbAuthError, AuthorizationPending):
        raise
    except Exception as error:
        log.debug("an answer was not understood: %s", trail(error))
        raise SignInError(
            "The provider's answer was not understood.",
            code="not_understood",
            hint="Run %login again; if it repeats, check the authority's address.",
        ) from error


@contextmanager
def keeping_rotated(http: Http) -> Iterator[None]:
    """Let a refresh answer that is refused hand its refresh token on with the error.

    A rotating one was spent by the request (RFC 9700 §4.14.2): without its successor the sign-in
    would end for a fault in another field, be it the library or we that refuse it.
    """
    with http.hearing() as answers:
        try:
            yield
        except NbAuthError as error:
            for answer in answers:
                token = answer.get("refresh_token")
                if answer.get("access_token") and token and isinstance(token, str):
                    error.rotated = SecretStr(token)
            raise
