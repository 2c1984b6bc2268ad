"""Converts a provider's error to one with advice; the texts are in ``error_catalogue.toml``."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInDeclined,
    SignInError,
    SignInExpired,
    TokenError,
)
from nbauth.oauth import answers
from nbauth.oauth.error_trail import trail_in

if TYPE_CHECKING:
    import requests

_KINDS: dict[str, type[NbAuthError]] = {
    "consent": ConsentRequired,
    "interaction": InteractionRequired,
    "declined": SignInDeclined,
    "expired": SignInExpired,
    "unavailable": FlowUnavailable,
    "configuration": ConfigurationError,
    "unreachable": AuthorityUnreachable,
    "sign-in": SignInError,
}
POLLING = frozenset({"authorization_pending", "slow_down"})
"""Errors of polling (RFC 8628 §3.5): their words are used instead of Entra's error numbers."""
_NUMBERED = re.compile(r"AADSTS(\d{4,8})|(AADB2C\d{4,8})")


@functools.cache
def known_codes() -> dict[str, dict[str, str]]:
    """The entries of the catalogue, by code."""
    import tomllib

    text = resources.files(__package__).joinpath("error_catalogue.toml").read_text("utf-8")
    return tomllib.loads(text)


def error_from(answer: object, status: int | None = None) -> NbAuthError:
    """The error for an error response (RFC 6749 §5.2, with Entra's ``error_codes``).

    An error with an unknown code still has the provider's text. Other formats than the RFC's are
    read by :func:`nbauth.oauth.answers.told_in`.

    Args:
        answer: the JSON of the response, or the parameters of an authorization response.
        status: the HTTP status; the message names it if it is not 400. If the response has no
            code, the error's code is ``http_<status>``.
    """
    told_word, description = answers.told_in(answer)
    word = told_word or (f"http_{status}" if status and status >= 400 else "unknown_error")
    members = answer if isinstance(answer, Mapping) else {}
    numbers = answers.numbers_in(members) + _numbers(description)
    if word in POLLING:
        numbers = []
    number = next((number for number in numbers if number in known_codes()), None)
    entry = known_codes().get(number or word, {})
    code = full_code(number or numbers[0]) if numbers else word
    told = description.removeprefix(f"{code}: ")
    what = entry.get("what", "The provider refused the request.")
    message = f"{what} [{code}: {told}]" if told else f"{what} [{code}]"
    if status not in {None, 200, 400} and code != f"http_{status}":
        message += f" (HTTP {status})"
    trail = trail_in(answer)
    error = _KINDS[entry.get("kind", "sign-in")](
        message,
        code=code,
        hint=entry.get("next") or "Show this line to your administrator, or run %login again.",
        correlation_id=trail.correlation_id,
        timestamp=trail.timestamp or time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime()),
        suggested_flow=entry.get("flow"),
    )
    error.word = told_word
    return error


def is_known(answer: Mapping[str, Any]) -> bool:
    """Whether the catalogue has the error number in a response's text."""
    return any(number in known_codes() for number in _numbers(answers.told_in(answer).text))


def _numbers(text: str) -> list[str]:
    return [number or b2c for number, b2c in _NUMBERED.findall(text)]


def full_code(number: str) -> str:
    """The code as Microsoft writes it: ``AADSTS50076``, ``AADB2C90118``."""
    return f"AADSTS{number}" if number.isdecimal() else number


def wrong_password(error: NbAuthError) -> NbAuthError:
    """The error for ``invalid_grant`` in the response to a password (RFC 6749 §5.2).

    Elsewhere this word means a grant that has expired. The provider's own code and text are kept.
    Errors with another meaning are returned unchanged.
    """
    entries = known_codes()
    expired, wrong = entries["invalid_grant"]["what"], entries["wrong_password"]
    if error.word != "invalid_grant" or not str(error).startswith(expired):
        return error
    found = SignInError(
        wrong["what"] + str(error).removeprefix(expired),
        code="wrong_password" if error.code == "invalid_grant" else error.code,
        hint=wrong["next"],
        correlation_id=error.correlation_id,
        timestamp=error.timestamp,
        suggested_flow=wrong["flow"],
    )
    found.word = error.word
    return found


def of_application(error: NbAuthError) -> NbAuthError:
    """The same error for an application: a person can neither sign in nor choose another flow."""
    number = error.code.removeprefix("AADSTS")
    entry = known_codes().get(number, {})
    asks_a_person = isinstance(error, InteractionRequired | FlowUnavailable)
    if not (asks_a_person and entry):
        return error
    what, mark, told = str(error).partition(" [")
    return TokenError(
        f"{entry.get('app_what', what)}{mark}{told}",
        code=error.code,
        hint=entry.get("app_next", "Ask an administrator; an application cannot do more."),
        correlation_id=error.correlation_id,
        timestamp=error.timestamp,
    )


def not_understood(why: str) -> SignInError:
    """The error for a response that is neither valid nor an error response."""
    return SignInError(
        f"The provider's response is invalid: {why}.",
        code="not_understood",
        hint="Run %login again; if it happens again, check the authority's address.",
    )


def refusal(response: requests.Response) -> NbAuthError | None:
    """The error in an HTTP response with JSON, by its status or its content; ``None`` if none."""
    answer, status = answers.json_in(response), response.status_code
    refused = status >= 400 or answers.error_in(answer) is not None
    return error_from(answer, status) if refused else None
