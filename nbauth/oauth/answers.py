"""Reads lifetimes, scopes, texts and errors from responses, in the forms that providers use.

The parsing is tolerant: a number may be a string, a list a string with commas, a missing value
``null``, and an error may have any of a dozen names. Security checks are strict, in other modules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.error_trail import without_trail

if TYPE_CHECKING:
    import requests

UNTOLD = 3600.0
"""Lifetime of an access token, in seconds, if the response has no valid ``expires_in``."""
LONGEST = 10 * 365.25 * 86400
"""Maximum lifetime in seconds; some providers send 2^31 or 2^63 for "never expires"."""
_NUMBER = re.compile(r"\s*[+-]?\d{1,20}(\.\d{1,9})?\s*")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_WORDS = re.compile(r"[A-Za-z]{1,40}([_ -][A-Za-z]{1,40}){0,5}")
_CAMEL = re.compile(r"[a-z][A-Z]")
_SUCCESSES = ("access_token", "device_code")
_CODES = ("error", "errorCode", "error_code", "code", "__type", "status", "type", "title", "name")
_TEXTS = (
    "error_description", "errorSummary", "errorMessage", "message", "Message", "msg", "detail",
    "description", "reason", "title", "errors", "errorCauses", "details",
)  # fmt: skip
_INSIDE = ("error", "errors", "errorCauses", "detail", "details")
_PLAINLY = {"errorCode", "error_code", "code", "__type", *_TEXTS} - {"title"}
"""Members that mark a response without ``error`` as an error."""
_DEEP = 3
"""How many levels of nested objects are read in an error."""


def seconds(value: object) -> float | None:
    """A time in seconds above 0, at most ``LONGEST``; ``None`` for any other value.

    A number may be a string. 0 and negative numbers are ignored: some providers send 0 for "does
    not expire", others by mistake.
    """
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 < value < math.inf:  # also rejects NaN
        return None
    return min(float(min(value, 2**63)), LONGEST)


def is_nought(value: object) -> bool:
    """Whether the value is 0 or ``"0"``."""
    return value in (0, "0") and value is not False


def expires_in(answer: Mapping[str, Any]) -> float:
    """Lifetime in seconds of the access token in a token response; an hour if it is missing.

    If the token expires earlier, its resource returns HTTP 401, and the token is renewed then.
    """
    return seconds(answer.get("expires_in")) or UNTOLD


def refresh_expires_in(answer: Mapping[str, Any]) -> float | None:
    """Lifetime in seconds of the refresh token in a token response, ``None`` if unknown.

    Keycloak sends 0 for a token without a fixed lifetime.
    """
    names = ("refresh_token_expires_in", "refresh_expires_in")
    return next((life for name in names if (life := seconds(answer.get(name)))), None)


def granted_scopes(answer: Mapping[str, Any], asked: Iterable[str]) -> tuple[str, ...]:
    """The scopes of a token response (RFC 6749 §5.1); the requested ones if it has none.

    They are separated by spaces; by commas only if there is no space (GitHub), or at the end of a
    word. Twitch sends a list.
    """
    told = answer.get("scope")
    parts = told if isinstance(told, list) else [told]
    words = [word for part in parts if isinstance(part, str) for word in _scopes(part)]
    return tuple(dict.fromkeys(words)) or tuple(asked)


def _scopes(text: str) -> list[str]:
    words = text.split()
    if len(words) == 1:
        words = text.split(",")
    return [word for part in words if (word := part.strip().strip(",")) and word.isprintable()]


def json_in(response: requests.Response) -> Any:
    """The JSON of an HTTP response; ``None`` if it has no body."""
    return response.json() if response.content else None


def text_in(answer: Mapping[str, Any], name: str) -> str:
    """A string member; ``""`` if it is missing or not a string."""
    value = answer.get(name)
    return value if isinstance(value, str) else ""


def access_token_in(answer: Mapping[str, Any]) -> str:
    """The access token; ``""`` for one with characters that RFC 6749 (appendix A.12) excludes: no
    header can have a line break, and most clients send no other letters than ASCII."""
    token = text_in(answer, "access_token")
    return token if token.strip() and re.fullmatch(r"[\x20-\x7e]+", token) else ""


def tokens_in(
    answer: Mapping[str, Any],
    asked: Iterable[str],
    claims: Mapping[str, Any],
    client_info: Mapping[str, Any] | None = None,
) -> TokenResponse:
    """A token response (RFC 6749 §5.1); ``claims`` are those of its checked ID token."""
    refresh_token, id_token = text_in(answer, "refresh_token"), text_in(answer, "id_token")
    return TokenResponse(
        access_token=SecretStr(access_token_in(answer)),
        token_type=plain(text_in(answer, "token_type") or "Bearer"),
        expires_in=expires_in(answer),
        scopes=granted_scopes(answer, asked),
        refresh_token=SecretStr(refresh_token) if refresh_token.strip() else None,
        refresh_expires_in=refresh_expires_in(answer),
        id_token=SecretStr(id_token) if id_token else None,
        id_token_claims=claims,
        client_info=client_info or {},
        correlation_id=plain(text_in(answer, "correlation_id")) or None,
    )


# ── errors ──────────────────────────────────────────────────────────────────────────────────


class Told(NamedTuple):
    """An error in a response: its code and its text; either may be ``""``."""

    word: str
    text: str


def error_in(answer: object) -> Told | None:
    """The error in a response, ``None`` if there is none. The caller checks the HTTP status.

    ``error: null`` is not an error; an ``error`` beside a token is. A response without ``error`` is
    an error if it has no token or code, but an error text or an error code under another name.
    """
    if isinstance(answer, list):
        return next((told for one in answer[:10] if (told := error_in(one))), None)
    if not isinstance(answer, Mapping):
        return None
    if not answer.get("error") and any(answer.get(name) for name in _SUCCESSES):
        return None
    told = _read(answer, _DEEP)
    plainly = any(answer.get(name) for name in _PLAINLY)
    return told if answer.get("error") or (plainly and any(told)) else None


def told_in(answer: object) -> Told:
    """Code and text of a response that is known to be an error.

    RFC 6749 §5.2 defines ``error`` and ``error_description``. Others send ``errorCode`` and
    ``errorSummary`` (Okta), an object as ``error`` (Google), ``message`` alone (Twitch),
    ``detail`` (RFC 9457), or a list of objects. A code that consists of words is returned in lower
    case with underscores.
    """
    if isinstance(answer, list):
        return next((told for one in answer[:10] if any(told := told_in(one))), Told("", ""))
    return _read(answer, _DEEP) if isinstance(answer, Mapping) else Told("", "")


def numbers_in(answer: object) -> list[str]:
    """Entra's ``error_codes``: numbers, or strings of digits."""
    codes = answer.get("error_codes") if isinstance(answer, Mapping) else None
    told = [str(code) for code in codes[:10]] if isinstance(codes, list) else []
    return [code for code in told if re.fullmatch(r"[0-9]{4,8}", code)]


def _read(answer: Mapping[str, Any], deep: int) -> Told:
    words = [word for name in _CODES if (word := _spelt(answer.get(name)))]
    word = next((word for word in words if not word.isdigit()), next(iter(words), ""))
    for one in _inside(answer) if not word and deep else ():
        word = word or _read(one, deep - 1).word
    texts = [_text(answer.get(name), deep) for name in ("error", *_TEXTS)]
    text = next((one for one in texts if one and not (word and _spelt(one) == word)), "")
    if not word and "_" in text and " " not in text:  # Twitch: {"message": "slow_down"}
        word, text = _spelt(text), ""
    return Told(word, text)


def _inside(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _INSIDE:
        value = answer.get(name)
        for one in value[:10] if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield one
            elif name == "error" and isinstance(one, str):
                yield {"error": one}


def _spelt(value: object) -> str:
    """An error code in normalised spelling (``SLOW-DOWN`` is ``slow_down``), ``""`` if it is none.

    An HTTP status is not an error code, since the response itself has a status.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 < value < 10**9 and not 200 <= value < 600 else ""
    if not isinstance(value, str):
        return ""
    if _WORDS.fullmatch(value) and not _CAMEL.search(value):
        return re.sub("[ -]", "_", value.lower())
    return value if _CODE.fullmatch(value) else ""


def _text(value: object, deep: int) -> str:
    """The text of an error, for a person; the first if there are several."""
    if isinstance(value, str):
        return plain(without_trail(value))
    if isinstance(value, list):
        return next((text for one in value[:10] if (text := _text(one, deep))), "")
    if isinstance(value, Mapping) and deep:
        told = _read(value, deep - 1)
        return told.text or told.word
    return ""
