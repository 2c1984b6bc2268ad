"""Converts exceptions of a protocol library to errors of nbauth."""

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
def library_errors() -> Iterator[None]:
    """Convert any exception that is not nbauth's to a ``SignInError``, with its cause chained."""
    try:
        yield
    except (NbAuthError, AuthorizationPending):
        raise
    except Exception as error:
        log.debug("a response could not be parsed: %s", trail(error))
        raise SignInError(
            "The provider's response is invalid.",
            code="not_understood",
            hint="Run %login again; if it happens again, check the authority's address.",
        ) from error


NOT_OF_THE_GRANT = frozenset(
    {
        "invalid_scope", "invalid_client", "unauthorized_client", "unsupported_grant_type",
        "invalid_target", "server_error", "temporarily_unavailable", "slow_down",
        "incorrect_client_credentials",  # GitHub's
    }
)  # fmt: skip
"""Errors of a refresh that do not concern the refresh token (RFC 6749 §5.2, RFC 8707 §2)."""


@contextmanager
def renewing(http: Http, sent: str, *, any_word: bool = False) -> Iterator[None]:
    """Add the state of the refresh token to errors of a refresh request.

    If the library or nbauth rejects a successful response, the error's ``rotated`` is the new
    refresh token in it: the old one is no longer valid (RFC 9700 §4.14.2), so losing the new one
    would end the sign-in. An invalid refresh token raises ``InteractionRequired``; its code is
    ``REFRESH_REFUSED`` if the response has no error code, since it may come from a gateway while
    the refresh token is still valid.

    Args:
        sent: the refresh token of the request.
        any_word: whether other error codes than ``invalid_grant`` also mean an invalid refresh
            token. Some providers return ``invalid_request`` or ``unauthorized``, or only a status.
    """
    with http.hearing() as answers:
        try:
            yield
        except NbAuthError as error:
            posted = [one for one in answers if one.request.method == "POST"]
            answer = posted[-1] if posted else None  # GET requests are for metadata and keys
            good = json_in(answer) if answer is not None and answer.ok else None
            said_no = _is_error(good)  # GitHub sends errors with HTTP 200
            if answer is not None and answer.ok and not said_no:
                error.rotated = _successor(good, sent)
                raise
            status_alone = isinstance(error, AuthorityUnreachable) and error.empty
            nothing_said = status_alone and error.code in {"http_400", "http_401"}
            refused = said_no or (answer is not None and answer.status_code in {400, 401})
            if nothing_said or (any_word and refused and _is_of_the_grant(error)):
                without_a_word = error.code.startswith("http_")
                ended = InteractionRequired(
                    f"The sign-in has expired or was revoked. {error}",
                    code=REFRESH_REFUSED if without_a_word else error.code,
                    hint="Sign in again: %login.",
                    correlation_id=error.correlation_id,
                    timestamp=error.timestamp,
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
