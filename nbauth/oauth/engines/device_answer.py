"""Reads the device authorization response and polling errors (RFC 8628 §3.2, §3.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nbauth.core.addresses import is_secure, origin_of
from nbauth.core.errors import NbAuthError, SignInError
from nbauth.core.flow_names import BROWSER
from nbauth.core.secret import SecretStr
from nbauth.core.text import plain, web_address
from nbauth.oauth.answers import is_nought, seconds, text_in
from nbauth.oauth.engines.protocol import AuthorizationPending, DeviceCode
from nbauth.oauth.error_catalogue import POLLING

SHORTEST_INTERVAL = 1.0
INTERVAL = 5.0
"""Default polling interval in seconds (RFC 8628 §3.2)."""
LONGEST_INTERVAL = 60.0
"""Maximum polling interval in seconds; the provider can still return ``slow_down``."""
LIFE = 900.0
"""Default lifetime of a code in seconds."""
LONGEST_LIFE = 86400.0


def device_code_in(answer: object, *asked: object) -> DeviceCode:
    """Read a device authorization response.

    ``private`` holds the response, which the engine needs for polling, and ``asked``.

    Args:
        answer: the response's JSON, not an error response.
        asked: other values that the engine needs for polling.

    Raises:
        SignInError: ``device_answer``, with the name of the invalid field.
    """
    if not isinstance(answer, Mapping):
        raise _unusable("it is empty" if answer is None else "it is not a JSON object")
    if not text_in(answer, "device_code"):
        raise _unusable("device_code is missing" if not answer.get("device_code") else
                        "device_code is not a string")  # fmt: skip
    user_code = plain(text_in(answer, "user_code"))
    if not user_code:
        raise _unusable("user_code is missing or not printable text")
    page = answer.get("verification_uri") or answer.get("verification_url")  # Google's name
    if not page:
        raise _unusable("verification_uri is missing")
    if not _may_be_opened(page):
        raise _unusable(f"verification_uri ({plain(page)[:100]}) is not an https address")
    complete = answer.get("verification_uri_complete") or answer.get("verification_url_complete")
    return DeviceCode(
        user_code=user_code,
        verification_uri=str(page),
        verification_uri_complete=str(complete)
        if _may_be_opened(complete) and origin_of(str(complete)) == origin_of(str(page))
        else None,
        expires_in=min(seconds(answer.get("expires_in")) or LIFE, LONGEST_LIFE),
        interval=_interval(answer.get("interval")),
        message=plain(text_in(answer, "message")),
        private=({**answer, "device_code": SecretStr(answer["device_code"])}, *asked),
    )


def _interval(told: object) -> float:
    if is_nought(told):
        return SHORTEST_INTERVAL  # the provider sets no minimum
    return min(seconds(told) or INTERVAL, LONGEST_INTERVAL)


def _may_be_opened(address: object) -> bool:
    return isinstance(address, str) and is_secure(address) and web_address(address) is not None


def _unusable(what: str) -> SignInError:
    return SignInError(
        f"The provider's device code response is invalid: {what}.",
        code="device_answer",
        hint=f"Sign in with a browser: %login --flow {BROWSER}; tell the provider's administrator.",
        suggested_flow=BROWSER,
    )


@contextmanager
def polling() -> Iterator[None]:
    """Convert the errors of ``POLLING`` to ``AuthorizationPending`` (RFC 8628 §3.5)."""
    try:
        yield
    except NbAuthError as error:
        if error.code in POLLING:
            raise AuthorizationPending(slow_down=error.code == "slow_down") from None
        raise
