"""Who signed in: ID tokens, checked before anything is kept (OpenID Connect Core §3.1.3.7)."""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from nbauth.core.errors import SignInError
from nbauth.core.forks import no_fork

SKEW = 300
"""Seconds by which our clock and the provider's may differ."""
ALGORITHMS = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519",
]  # fmt: skip
TOO_OLD = "auth_time", "comes from a sign-in older than --max-age allows"
_KEY_MEMBERS = {"kty", "kid", "alg", "n", "e", "crv", "x", "y"}
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def check(
    id_token: str,
    *,
    issuer: str,
    client_id: str,
    nonce: str | None = None,
    tenant: str = "",
    keys: Callable[[bool], Mapping[str, Any]] | None = None,
    max_age: int | None = None,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Return the claims of an ID token that is what it should be.

    Args:
        issuer: from the metadata; ``{tenantid}`` in it stands for the token's own ``tid``.
        nonce: what the authorization request carried; ``None`` where there was none.
        tenant: a tenant GUID the token has to come from, or anything else to allow any.
        keys: gives the provider's JWK set (``keys(True)`` fetches it anew) to check the signature
            with; needed where the answer came through the browser, ``None`` where the token came
            from the token endpoint itself over TLS (§3.1.3.7 item 6).
        max_age: seconds, as asked for; the sign-in may not be older.

    Raises:
        SignInError: with a code of ``id_token_<what>``.
    """
    header, payload = _read(id_token)
    if header.get("alg") not in ALGORITHMS:
        raise refused("algorithm", "is not signed by a known public-key algorithm")
    if keys is not None:
        _check_signature(id_token, header, keys)
    claims = payload
    tid = str(claims.get("tid", ""))
    expected = issuer.replace("{tenantid}", tid) if _GUID.fullmatch(tid) else issuer
    if claims.get("iss") != expected:
        raise refused("issuer", "comes from another issuer")
    if _GUID.fullmatch(tenant) and tid and tid.lower() != tenant.lower():
        raise refused("tenant", "comes from another tenant")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences or claims.get("azp", client_id) != client_id:
        raise refused("audience", "is meant for another application")
    time_now = now()
    if not _number(claims.get("exp")) or claims["exp"] + SKEW <= time_now:
        raise refused("expired", "has expired; is this computer's clock right?")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise refused("subject", "names nobody")
    if nonce is not None and not hmac.compare_digest(
        str(claims.get("nonce", "")).encode(errors="replace"), nonce.encode()
    ):
        raise refused("nonce", "belongs to another sign-in")
    if max_age is not None and not (
        _number(claims.get("auth_time")) and claims["auth_time"] + max_age + SKEW >= time_now
    ):
        raise refused(*TOO_OLD)
    return claims


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def refused(what: str, why: str) -> SignInError:
    """The error for an ID token that is not what it should be."""
    return SignInError(
        f"The provider's ID token {why}; nothing was kept.",
        code=f"id_token_{what}",
        hint="Run %login again; if it repeats, the authority or client_id is wrong,"
        " or the answer is tampered with: tell your administrator.",
    )


def _read(id_token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        token = jws.extract_compact(str(id_token).encode())
        claims = json.loads(token.payload or b"")
        if not isinstance(claims, dict):
            raise ValueError
        return dict(token.headers()), claims
    except (JoseError, ValueError, TypeError, UnicodeError):
        raise refused("malformed", "cannot be read") from None


def _check_signature(
    id_token: str, header: Mapping[str, Any], keys: Callable[[bool], Mapping[str, Any]]
) -> None:
    for fetch_anew in (False, True):  # a provider may have changed its keys meanwhile
        for key in _signing_keys(keys(fetch_anew), header.get("kid")):
            try:
                with no_fork():
                    jws.deserialize_compact(
                        id_token.encode(), import_key(key), algorithms=ALGORITHMS
                    )
                return
            except (JoseError, ValueError, TypeError, KeyError):
                continue  # not the one, or of a kind that is not known here
    raise refused("signature", "is not signed by the provider")


def _signing_keys(key_set: object, key_id: object) -> list[dict[str, Any]]:
    """The keys that may have signed: the one named, or all where none is."""
    keys = key_set.get("keys") if isinstance(key_set, Mapping) else None
    return [
        {name: value for name, value in key.items() if name in _KEY_MEMBERS}
        for key in (keys if isinstance(keys, list) else [])
        if isinstance(key, Mapping)
        and key.get("kty") in {"RSA", "EC", "OKP"}
        and key.get("use", "sig") == "sig"
        and (key_id is None or key.get("kid", key_id) == key_id)
    ]
