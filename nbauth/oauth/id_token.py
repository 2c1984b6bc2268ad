"""Validation of ID tokens, before anything is stored (OpenID Connect Core §3.1.3.7)."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from nbauth.core.addresses import same_issuer
from nbauth.oauth.signature import ADMINISTRATOR, check_header, check_signature, read
from nbauth.oauth.signature import refused as refused

SKEW = 300
"""Seconds by which our clock and the provider's may differ."""
CLOCK = (
    "Correct this computer's clock. If it is correct, the provider's clock is wrong: tell its"
    " administrator."
)
TOO_OLD = "auth_time", "comes from a sign-in older than --max-age allows"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LATEST = 1e15
"""Epoch seconds. A larger number is no time; an integer may even be too large for a float."""
_DIGITS = re.compile(r"[0-9]{1,12}")


def check(
    id_token: object,
    *,
    issuer: str,
    client_id: str,
    nonce: str | None = None,
    tenant: str = "",
    keys: Callable[[bool], Mapping[str, Any]] | None = None,
    max_age: int | None = None,
    renewing: bool = False,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Validate an ID token and return its claims.

    Args:
        issuer: from the metadata; ``{tenantid}`` in it stands for the token's ``tid``. A trailing
            slash is ignored.
        nonce: the nonce of the authorization request; ``None`` if it had none.
        tenant: the tenant GUID that the token must have; any other value allows every tenant.
        keys: returns the provider's JWK set to check the signature (``keys(True)`` fetches it
            again); needed if the response came through the browser, ``None`` if the token came
            from the token endpoint over TLS (§3.1.3.7 item 6).
        max_age: the requested maximum age of the sign-in, in seconds.
        renewing: the token came with the response to a refresh (§12.2). Some providers then send
            the first ID token again, so its times are not checked. The caller checks that it
            belongs to the same account.

    Raises:
        SignInError: with a code of ``id_token_<what>``.
    """
    header, claims = read(id_token)
    check_header(header)
    if keys is not None:
        check_signature(str(id_token), header, keys)
    tid = str(claims.get("tid", ""))
    expected = issuer.replace("{tenantid}", tid) if _GUID.fullmatch(tid) else issuer
    if not same_issuer(claims.get("iss"), expected):
        raise refused("issuer", f"was issued by another issuer (iss) than {expected}")
    if _GUID.fullmatch(tenant) and tid and tid.lower() != tenant.lower():
        raise refused("tenant", "comes from another tenant (tid)")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise refused("audience", "is for another application (aud)")
    if claims.get("azp") not in (None, "", client_id):
        raise refused("audience", "was issued to another application (azp)")
    if not isinstance(claims.get("sub"), str) or not claims["sub"].strip():
        raise refused("subject", "has no subject (sub)")
    if nonce is not None and not hmac.compare_digest(
        str(claims.get("nonce", "")).encode(errors="replace"), nonce.encode()
    ):
        raise refused("nonce", "belongs to another sign-in (nonce)")
    if not renewing:
        _check_times(claims, now(), max_age)
    return claims


def _check_times(claims: Mapping[str, Any], now: float, max_age: int | None) -> None:
    """Times are NumericDate or strings of digits; ``iat`` and ``nbf`` may be missing."""
    ends = _time(claims.get("exp"))
    if ends is None:
        raise refused("expired", "has no valid expiry time (exp)", ADMINISTRATOR)
    if ends + SKEW <= now:
        raise refused("expired", f"expired {_span(now - ends)} ago by this computer's clock", CLOCK)
    for name in ("nbf", "iat"):
        begins = _time(claims.get(name))
        if begins is None and claims.get(name) is not None:
            raise refused("not_yet", f"has an invalid time ({name})", ADMINISTRATOR)
        if begins is not None and begins - SKEW > now:
            ahead = f"{_span(begins - now)} in the future by this computer's clock"
            raise refused("not_yet", f"has a time ({name}) that is {ahead}", CLOCK)
    if max_age is not None:
        signed_in = _time(claims.get("auth_time"))
        if signed_in is None or signed_in + max_age + SKEW < now:
            raise refused(*TOO_OLD)


def _time(value: object) -> float | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -LATEST < value < LATEST else None  # false for NaN


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
