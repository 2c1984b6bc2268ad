"""Checks the signature of ID tokens (RFC 7515) with the provider's published keys (RFC 7517).

Of the header only ``alg``, ``kid`` and ``crit`` are used; other parameters (``x5c``, private ones)
are ignored, as RFC 7515 §4 specifies.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from nbauth.core.errors import SignInError
from nbauth.core.forks import no_fork
from nbauth.core.text import plain

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K",
    "EdDSA", "Ed25519", "Ed448",
)  # fmt: skip
SMALLEST_RSA = 2048
"""Bits (RFC 7518 §3.3)."""
ADMINISTRATOR = "Tell the provider's administrator; it cannot be corrected on this computer."
_RESTRICTED = (
    "The provider's administrator must set RS256 or ES256 for this client"
    " (id_token_signed_response_alg)."
)
_KEY_MEMBERS = {"kty", "n", "e", "crv", "x", "y"}
_EDWARDS = {"EdDSA", "Ed25519", "Ed448"}
"""Old and new names of the same algorithms (RFC 9864)."""
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class _Registry(jws.JWSRegistry):
    """Accepts long headers, hundreds of groups, keys of 16 kbit, and any header parameter.

    joserfc's default registry prints a warning for EdDSA, which RFC 9864 only renames.
    """

    max_header_length = 64 * 1024
    max_payload_length = 1024 * 1024
    max_signature_length = 4096

    def check_header(self, header: Mapping[str, Any]) -> None:
        """Accept any header: the module's ``check_header`` has checked the used parameters."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


_REGISTRY = _Registry()


def refused(what: str, why: str, hint: str = "") -> SignInError:
    """The error for an invalid ID token."""
    return SignInError(
        f"The provider's ID token {why}; it was rejected.",
        code=f"id_token_{what}",
        hint=hint
        or "Check authority and client_id, and run %login again. If it happens again, someone may"
        " be tampering with the response: tell your administrator.",
    )


def read(id_token: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a signed token, unchecked."""
    text = id_token if isinstance(id_token, str) else ""
    if text.count(".") == 4 and "enc" in _json(text.partition(".")[0]):
        raise refused(
            "encrypted",
            "is encrypted, which nbauth does not support",
            "The provider's administrator must disable encryption for this client"
            " (id_token_encrypted_response_alg).",
        )
    try:
        token = jws.extract_compact(text.encode(), None, _REGISTRY)
        claims = json.loads(token.payload or b"")
        if not isinstance(claims, dict):
            raise ValueError
        return dict(token.headers()), claims
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise refused("malformed", "cannot be read") from None


def _json(segment: str) -> Mapping[str, Any]:
    try:
        value = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def check_header(header: Mapping[str, Any]) -> None:
    """Reject algorithms without a public key, and unknown critical parameters."""
    alg = header.get("alg")
    if isinstance(alg, str) and alg.startswith("HS"):
        raise refused(
            "algorithm",
            f"is signed with the client secret ({plain(alg)[:20]}), not with a key pair",
            _RESTRICTED,
        )
    if isinstance(alg, str) and alg.lower() == "none":
        raise refused("algorithm", "is not signed (alg none)", _RESTRICTED)
    if alg not in ALGORITHMS or alg not in _REGISTRY.algorithms:
        raise refused(
            "algorithm", f"is signed with an unsupported algorithm (alg {plain(alg)[:40]})"
        )
    if "crit" in header or header.get("b64") is False:  # RFC 7515 §4.1.11, RFC 7797 §7
        critical = plain(header.get("crit", "b64"))[:80]
        raise refused("critical", f"requires an unsupported extension (crit {critical})")


def check_signature(
    id_token: str, header: Mapping[str, Any], keys: Callable[[bool], Mapping[str, Any]]
) -> None:
    """Check the signature of a token, whose header has been checked, with the keys of a JWK set."""
    why = ""
    for fetch_anew in (False, True):  # the provider may have changed its keys since
        published = _published(keys(fetch_anew))
        fitting = [key for key in published if _may_have_signed(key, header)]
        for key in fitting:
            if _has_signed(key, id_token):
                return
        why = _why(published, fitting, header)
    raise refused("signature", f"is not signed by the provider: {why}", ADMINISTRATOR)


def _published(key_set: object) -> list[Mapping[str, Any]]:
    keys = key_set.get("keys") if isinstance(key_set, Mapping) else None
    return [key for key in (keys if isinstance(keys, list) else []) if isinstance(key, Mapping)]


def _may_have_signed(key: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """Whether a key is for this kind of signature, and has the ``kid`` of the header if any."""
    alg, uses, name = header["alg"], key.get("key_ops"), header.get("kid")
    renamed = alg in _EDWARDS and str(key.get("alg")) in _EDWARDS  # its curve is checked
    return (
        key.get("kty") == _KEY_TYPES[alg[:2]]
        and (key.get("alg") in (None, "", alg) or renamed)
        and (key.get("use") or "sig") == "sig"
        and (not isinstance(uses, list) or bool({"verify", "sign"} & set(map(str, uses))))
        and (name is None or key.get("kid") is None or str(key["kid"]) == str(name))
    )


def _has_signed(key: Mapping[str, Any], id_token: str) -> bool:
    if key["kty"] == "RSA" and _bits(key) < SMALLEST_RSA:
        return False
    members = {name: key[name] for name in _KEY_MEMBERS & key.keys() if key[name] is not None}
    try:
        with no_fork():
            jws.deserialize_compact(id_token.encode(), import_key(members), registry=_REGISTRY)
    except (JoseError, ValueError, TypeError, KeyError):
        return False  # another key, or an unsupported kind
    return True


def _bits(key: Mapping[str, Any]) -> int:
    modulus = str(key.get("n", ""))
    try:
        number = urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))
    except ValueError:
        return 0
    return int.from_bytes(number, "big").bit_length()


def _why(
    published: list[Mapping[str, Any]], fitting: list[Mapping[str, Any]], header: Mapping[str, Any]
) -> str:
    """The reason, for the provider's administrator."""
    if not published:
        return "its key set (jwks_uri) has no keys"
    if not fitting:
        named = "" if header.get("kid") is None else f' with the kid "{plain(header["kid"])[:60]}"'
        return f"its key set (jwks_uri) has no {header['alg']} key{named}"
    small = [_bits(key) for key in fitting if key["kty"] == "RSA" and _bits(key) < SMALLEST_RSA]
    if len(small) == len(fitting):
        return f"its RSA key has {small[0]} bits; at least {SMALLEST_RSA} are required"
    return "the signature does not match its keys"
