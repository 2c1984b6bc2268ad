"""Turns what a protocol library raises into errors of nbauth."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nbauth.core.errors import (
    REFRESH_REFUSED,
    AuthorityUnreachable,
    InteractionRequired,
    NbAuthError,
    SignInError,
)
from nbauth.core.log import trail
from nbauth.core.secret import SecretStr
from nbauth.oauth.answers import json_in, text_in
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


NOT_OF_THE_GRANT = frozenset(
    {
        "invalid_scope", "invalid_client", "unauthorized_client", "unsupported_grant_type",
        "invalid_target", "server_error", "temporarily_unavailable", "slow_down",
        "incorrect_client_credentials",  # GitHub's
    }
)  # fmt: skip
"""Errors of a refresh that say nothing of the refresh token (RFC 6749 §5.2, RFC 8707 §2)."""


@contextmanager
def renewing(http: Http, sent: str, *, any_word: bool = False) -> Iterator[None]:
    """Around the token request of a refresh: its errors say what became of the refresh token.

    If the library or nbauth refuses the answer, the error's ``rotated`` is the answer's new refresh
    token: the one that was sent is spent (RFC 9700 §4.14.2), and without its successor a fault in
    another field would end the sign-in. A dead refresh token raises ``InteractionRequired``, with
    the code ``REFRESH_REFUSED`` where the answer has no error code of its own: it may be that of a
    gateway, and the refresh token alive.

    Args:
        sent: the refresh token of the request.
        any_word: whether other error codes than ``invalid_grant`` mean a dead refresh token too.
            Some providers say ``invalid_request`` or ``unauthorized``, or send a status alone.
    """
    with http.hearing() as answers:
        try:
            yield
        except NbAuthError as error:
            posted = [one for one in answers if one.request.method == "POST"]
            answer = posted[-1] if posted else None  # the others are metadata and keys
            good = json_in(answer) if answer is not None and answer.ok else None
            said_no = _is_error(good)  # GitHub says it with HTTP 200
            if answer is not None and answer.ok and not said_no:
                error.rotated = _successor(good, sent)
                raise
            status_alone = isinstance(error, AuthorityUnreachable) and error.empty
            nothing_said = status_alone and error.code in {"http_400", "http_401"}
            refused = said_no or (answer is not None and answer.status_code in {400, 401})
            if nothing_said or (any_word and refused and _is_of_the_grant(error)):
                without_a_word = error.code.startswith("http_")
                ended = InteractionRequired(
                    f"The sign-in is no longer valid. {error}",
                    code=REFRESH_REFUSED if without_a_word else error.code,
                    hint="Sign in again: %login.",
                    correlation_id=error.correlation_id,
                )
                ended.word = error.word
                raise ended from error
            raise


def _is_error(answer: object) -> bool:
    return isinstance(answer, dict) and bool(answer.get("error"))


def _successor(answer: object, sent: str) -> SecretStr | None:
    if not isinstance(answer, dict):
        return None
    token = text_in(answer, "refresh_token")
    return SecretStr(token) if token.strip() and token != sent else None


def _is_of_the_grant(error: NbAuthError) -> bool:
    if error.code == "invalid_request":
        return True
    said = {error.code, error.word}
    return isinstance(error, SignInError) and NOT_OF_THE_GRANT.isdisjoint(said)
