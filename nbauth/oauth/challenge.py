"""Reads what an API requires in a 401 response: ``WWW-Authenticate`` (RFC 9110 §11.6.1).

Two challenges of the scheme ``Bearer`` ask for another sign-in:

- a claims challenge of Microsoft's identity platform: ``claims`` is a claims request (OpenID
  Connect Core §5.5) in base64;
- step-up authentication (RFC 9470): ``acr_values`` and ``max_age``.

nbauth sends Bearer tokens only, so challenges of other schemes, such as ``PoP``, are ignored.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from nbauth.core.scopes import Scopes

MOST = 16 * 1024
"""Characters of the header that are read; a longer header is ignored."""
MOST_CLAIMS = 4096
"""Characters of a claims request, which becomes a part of an address."""
CAPABILITY = "CP1"
"""The client capability: "answers claims challenges"."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_END = r"(?=[ \t]*(?:,|\Z))"
_BETWEEN = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|{_QUOTED}){_END}")
_SCHEME = re.compile(rf"({_TOKEN})(?:{_END}| +)")
_TOKEN68 = re.compile(rf"([A-Za-z0-9._~+/-]+=*){_END}")
_ESCAPED = re.compile(r"\\(.)", re.S)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+")
_ACR_VALUES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Challenge:
    """One challenge. Names of parameters are in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)
    token68: str = ""


class Asked(Protocol):
    """The parameters of an authorization request that ask for more than a token."""

    @property
    def claims(self) -> str | None: ...
    @property
    def acr_values(self) -> str | None: ...
    @property
    def max_age(self) -> int | None: ...


@dataclass(frozen=True)
class Requirement:
    """What a new token has to fulfil.

    Attributes:
        claims: a claims request, as JSON in its shortest form.
        acr_values, max_age: as in an authorization request (OpenID Connect Core §3.1.2.1).
        renewable: whether a refresh may fulfil it; otherwise only a sign-in does.
        host: which host requires it, for messages.
    """

    claims: str | None = None
    acr_values: str | None = None
    max_age: int | None = None
    renewable: bool = field(default=True, compare=False)
    host: str = field(default="", compare=False)

    @classmethod
    def of(cls, request: Asked) -> Requirement | None:
        """What an authorization request asks for, or ``None``."""
        asked = cls(request.claims, request.acr_values, request.max_age)
        return None if asked == cls() else asked

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of an authorization request that ask for it."""
        return {
            "claims": self.claims,
            "acr_values": self.acr_values,
            "max_age": self.max_age,
        }


def challenges(header: str) -> list[Challenge]:
    """The challenges of a header; several header lines are joined with a comma.

    If the header is malformed at some point, the challenge at that point and all after it are left
    out. So is a challenge that names a parameter twice.
    """
    return list(_challenges(header)) if len(header) <= MOST else []


def _challenges(header: str) -> Iterator[Challenge]:
    at, present, valid = 0, Challenge(""), False
    while (at := _after(_BETWEEN.match(header, at))) < len(header):
        if (found := _PARAMETER.match(header, at)) and present.scheme and not present.token68:
            name = found[1].lower()
            valid = valid and name not in present.parameters
            present.parameters[name] = _value(found[2])
        elif not found and (found := _SCHEME.match(header, at)):
            if valid:
                yield present
            token68 = None
            if found[0].endswith(" ") and not _PARAMETER.match(header, found.end()):
                token68 = _TOKEN68.match(header, found.end())
                if token68 is None:
                    return
            present, valid = Challenge(found[1], token68=token68[1] if token68 else ""), True
            found = token68 or found
        else:
            return
        at = found.end()
    if valid:
        yield present


def _after(found: re.Match[str] | None) -> int:
    assert found is not None  # the pattern matches an empty text too
    return found.end()


def _value(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def requirement(header: str, host: str, *, microsoft: bool) -> Requirement | None:
    """What the first challenge of a 401 response requires that nbauth can fulfil, or ``None``.

    ``microsoft``: whether the authority is Microsoft's. Only there a refresh can fulfil a claims
    request, and only elsewhere a provider understands ``acr_values``.
    """
    for challenge in challenges(header):
        given = challenge.parameters
        if challenge.scheme.lower() != "bearer":
            continue
        error = given.get("error", "")
        # Azure Resource Manager sends claims with invalid_token if a session was revoked.
        if error in ("insufficient_claims", "invalid_token"):
            claims = _claims(given.get("claims", ""))
            if claims is not None:
                return Requirement(claims, renewable=microsoft, host=host)
        if error == "insufficient_user_authentication" and not microsoft:
            acr_values, max_age = given.get("acr_values", ""), given.get("max_age", "")
            known = len(acr_values) <= MOST_CLAIMS and _ACR_VALUES.fullmatch(acr_values)
            seconds = int(max_age) if _SECONDS.fullmatch(max_age) else None
            if known or seconds is not None:
                return Requirement(
                    None, acr_values if known else None, seconds, renewable=False, host=host
                )
    return None


def _claims(encoded: str) -> str | None:
    """The claims request of a challenge; ``None`` if it is not one.

    Both alphabets of RFC 4648 are read, with and without padding.
    """
    text = encoded.translate(_STANDARD).rstrip("=")
    if not _BASE64.fullmatch(text):
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        claims = json.loads(data.decode(), parse_constant=_no_number)
        known = {name: claims[name] for name in _REQUESTED if name in claims}
        if not known or not all(isinstance(asked, dict) for asked in known.values()):
            return None
        shortest = json.dumps(known, separators=(",", ":"), sort_keys=True)
    except (ValueError, TypeError, RecursionError):  # TypeError: it is no object
        return None
    return shortest if len(shortest) <= MOST_CLAIMS else None


_STANDARD = str.maketrans("-_", "+/")
_REQUESTED = ("access_token", "id_token", "userinfo")
"""The members of a claims request; a provider ignores others."""


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def claims_for(scopes: Scopes, claims: str | None) -> str | None:
    """The claims request of a token request, with the client capability if the scopes declare it.

    MSAL could add it too, but to the requests of all tokens.
    """
    if not scopes.declares:
        return claims
    merged: dict[str, Any] = json.loads(claims) if claims else {}
    asked = merged.get("access_token")
    capability = {"xms_cc": {"values": [CAPABILITY]}}
    merged["access_token"] = {**(asked if isinstance(asked, dict) else {}), **capability}
    return json.dumps(merged, separators=(",", ":"))
