"""From a provider's error to one a person can act on; the words are in ``error_catalogue.toml``."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

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
)
from nbauth.core.text import plain

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
_AADSTS = re.compile(r"AADSTS(\d{4,8})")


@functools.cache
def _entries() -> dict[str, dict[str, str]]:
    import tomllib

    text = resources.files(__package__).joinpath("error_catalogue.toml").read_text("utf-8")
    return tomllib.loads(text)


def error_from(answer: Mapping[str, Any]) -> NbAuthError:
    """The error for an error response (RFC 6749 §5.2, with Entra's ``error_codes``).

    A code that the catalogue does not know still carries the provider's own text.
    """
    word = plain(answer.get("error") or "unknown_error")
    description = plain(answer.get("error_description") or "")
    codes = answer.get("error_codes")
    numbers = [str(number) for number in codes] if isinstance(codes, list) else []
    numbers += _AADSTS.findall(description)
    number = next((number for number in numbers if number in _entries()), None)
    entry = _entries().get(number or word, {})
    code = f"AADSTS{number}" if number else f"AADSTS{numbers[0]}" if numbers else word
    told = description.partition(" Trace ID:")[0].removeprefix(f"{code}: ")
    what = entry.get("what", "The provider refused.")
    message = f"{what} [{code}: {told}]" if told else f"{what} [{code}]"
    correlation_id = answer.get("correlation_id")
    return _KINDS[entry.get("kind", "sign-in")](
        message,
        code=code,
        hint=entry.get("next") or "Show this line to your administrator, or run %login again.",
        correlation_id=plain(correlation_id) if correlation_id else None,
        suggested_flow=entry.get("flow"),
    )
