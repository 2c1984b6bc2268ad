"""ID tokens in the forms that providers send: headers, algorithms, sizes; at a refresh."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, OKPKey, RSAKey

from nbauth.core.errors import SignInError
from nbauth.oauth import id_token, signature
from tests.interop.peers import assert_plain
from tests.oauth.test_id_token import (
    ABSENT,
    GOOD,
    KEY,
    NOW,
    OTHER_KEY,
    Keys,
    altered,
    check,
    published,
)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def made(header: dict[str, Any], claims: Any = GOOD, key: Any = KEY) -> str:
    """A signed token with a header that the library would not write."""
    whole = {"alg": "RS256", "kid": "k1", **header}
    whole = {name: value for name, value in whole.items() if value is not ABSENT}
    signing_input = f"{part(whole)}.{part(claims)}"
    alg = signature._REGISTRY.algorithms[whole["alg"]]
    return f"{signing_input}.{part(alg.sign(signing_input.encode(), key))}"


def refusal(token: Any, keys: Any = None, **changes: Any) -> SignInError:
    with pytest.raises(SignInError, match="it was rejected") as caught:
        check(token, keys, **changes)
    assert_plain(caught.value)
    return caught.value


# ── headers ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header",
    [
        {"x5c": [base64.b64encode(bytes(1500)).decode()] * 3},
        {"x5t": "abc", "x5t#S256": "abc"},
        {"x5c": "no list", "x5t": 5, "x5u": "no address", "jku": 7},
        {"pi.atm": "1", "pi.sri": "x" * 200, "org.example": {"a": [1, 2]}},  # Ping
        {"typ": "JWT", "cty": None},
        {"typ": None, "kid": ABSENT},
        {"typ": "at+jwt"},
        {"b64": True},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
    ],
    ids=lambda header: "-".join(header),
)
def test_unknown_header_parameters_are_ignored(header: Any) -> None:
    assert check(made(header))["sub"] == "ada"


def test_a_key_in_the_header_is_not_used() -> None:
    """jwk, jku, x5u and x5c are written by the token's author, who may be an attacker."""
    header = {"jwk": OTHER_KEY.as_dict(private=False), "jku": "https://evil.example", "x5c": ["x"]}
    assert refusal(made(header, key=OTHER_KEY)).code == "id_token_signature"


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": NOW},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": ["x5c"], "x5c": []},
        {"crit": []},
        {"crit": "b64"},
        {"crit": None},
        {"b64": False},
    ],
    ids=repr,
)
def test_critical_parameters_are_not_ignored(header: dict[str, Any], signed: bool) -> None:
    """RFC 7515 §4.1.11: unknown ones must be rejected; a JWT must not use b64 (RFC 7797 §7)."""
    with pytest.raises(SignInError) as caught:
        id_token.check(
            made(header),
            issuer=GOOD["iss"],
            client_id="notebooks",
            keys=Keys(published(KEY)) if signed else None,
            now=lambda: NOW,
        )
    # A payload that is not base64 cannot be parsed.
    assert caught.value.code in {"id_token_critical", "id_token_malformed"}


@pytest.mark.parametrize("kid", [7, "7"])
def test_kid_may_be_a_number(kid: Any) -> None:
    key_set = published(OTHER_KEY, KEY)
    key_set["keys"][1]["kid"] = 7
    assert check(made({"kid": kid}), Keys(key_set))["sub"] == "ada"


# ── algorithms and sizes ────────────────────────────────────────────────────────────────────

RSA = [(alg, KEY) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")]
EC = [
    (alg, ECKey.generate_key(curve, {"kid": "k1"}))
    for alg, curve in
    {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}.items()
]  # fmt: skip
OKP = [
    (alg, OKPKey.generate_key(curve, {"kid": "k1"}))
    for alg, curve in (("EdDSA", "Ed25519"), ("EdDSA", "Ed448"), ("Ed25519",) * 2, ("Ed448",) * 2)
]
EACH = pytest.mark.parametrize(
    ("alg", "key"), [*RSA, *EC, *OKP], ids=lambda value: value if isinstance(value, str) else ""
)


@EACH
def test_every_public_key_algorithm_is_accepted_without_a_warning(alg: str, key: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(made({"alg": alg}, key=key), Keys(published(OTHER_KEY, key)))["sub"] == "ada"


@EACH
def test_a_changed_token_is_rejected_with_every_algorithm(alg: str, key: Any) -> None:
    head, _, seal = made({"alg": alg}, key=key).split(".")
    token = f"{head}.{part(altered(sub='eve'))}.{seal}"
    assert refusal(token, Keys(published(key))).code == "id_token_signature"


def test_every_listed_algorithm_is_implemented() -> None:
    assert {alg for alg, _ in [*RSA, *EC, *OKP]} == set(signature.ALGORITHMS)
    assert set(signature.ALGORITHMS) <= signature._REGISTRY.algorithms.keys()


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("named", ["EdDSA", "Ed25519", None, ABSENT])
def test_old_and_new_names_of_edwards_curves_are_equivalent(alg: str, named: Any) -> None:
    key = OKPKey.generate_key("Ed25519", {"kid": "k1"})
    key_set = published(key)
    key_set["keys"][0]["alg"] = named
    if named is ABSENT:
        del key_set["keys"][0]["alg"]
    assert check(made({"alg": alg}, key=key), Keys(key_set))["sub"] == "ada"


@pytest.mark.parametrize(
    "members",
    [{"alg": "RS512"}, {"alg": "RSA-OAEP"}, {"alg": 5}, {"key_ops": ["encrypt"]}, {"use": "enc"}],
    ids=repr,
)
def test_a_key_for_another_use_is_not_used(members: dict[str, Any]) -> None:
    key_set = published(KEY)
    key_set["keys"][0].update(members)
    error = refusal(made({}), Keys(key_set))
    assert error.code == "id_token_signature"
    assert 'no RS256 key with the kid "k1"' in str(error)


@pytest.mark.parametrize(
    "members",
    [
        {"alg": None},
        {"alg": "RS256"},
        {"use": None},
        {"key_ops": ["verify"]},
        {"kid": None},
        {"key_ops": ["sign"]},
        {"x5c": ["x"], "x5t": 5, "org.example": 1},
        {"key_ops": None},
    ],
    ids=repr,
)
def test_unknown_members_of_a_key_are_ignored(members: dict[str, Any]) -> None:
    key_set = published(KEY)
    key_set["keys"][0].update(members)
    assert check(made({}), Keys(key_set))["sub"] == "ada"


@pytest.mark.parametrize("size", [8, 64, 512])
def test_hundreds_of_groups(size: int) -> None:
    groups = [f"{number:08x}-0000-0000-0000-00000000beef" for number in range(size * 25)]
    claims = altered(groups=groups)
    assert len(json.dumps(claims)) > size * 1000
    assert check(made({}, claims))["groups"] == groups


P_8192, Q_8192 = 3 * 2**4094 + 3389, 2**4096 - 2549
"""Two primes: to find others takes from 3 to 10 s of the processor."""


def key_of_8192_bits() -> RSAKey:
    d = rsa.rsa_recover_private_exponent(65537, P_8192, Q_8192)
    numbers = rsa.RSAPrivateNumbers(
        p=P_8192,
        q=Q_8192,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, P_8192),
        dmq1=rsa.rsa_crt_dmq1(d, Q_8192),
        iqmp=rsa.rsa_crt_iqmp(P_8192, Q_8192),
        public_numbers=rsa.RSAPublicNumbers(65537, P_8192 * Q_8192),
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    assert key.key_size == 8192
    return RSAKey(key, key, {"kid": "k1"})


@pytest.mark.parametrize("bits", [3072, 8192])
def test_large_keys(bits: int) -> None:
    large = bits == 8192
    key = key_of_8192_bits() if large else RSAKey.generate_key(bits, {"kid": "k1"})
    assert check(made({}, key=key), Keys(published(key)))["sub"] == "ada"


def test_the_error_for_a_small_key_names_its_size() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = RSAKey.generate_key(1024, {"kid": "k1"})
        token = made({}, key=key)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(token, Keys(published(key)))
    assert error.code == "id_token_signature"
    assert "1024 bits" in str(error)
    assert "administrator" in error.hint


# ── error messages ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_the_error_for_a_shared_secret_has_a_remedy(alg: str) -> None:
    error = refusal(f"{part({'alg': alg})}.{part(GOOD)}.AAAA")
    assert error.code == "id_token_algorithm"
    assert f"signed with the client secret ({alg})" in str(error)
    assert "id_token_signed_response_alg" in error.hint


def test_the_error_for_a_missing_signature_has_a_remedy() -> None:
    for alg in ("none", "None"):
        error = refusal(f"{part({'alg': alg})}.{part(GOOD)}.AAAA")
        assert "not signed" in str(error)
        assert "id_token_signed_response_alg" in error.hint


def test_the_error_for_an_encrypted_token_has_a_remedy() -> None:
    head = part({"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "x"})
    error = refusal(f"{head}.AAAA.AAAA.AAAA.AAAA")
    assert error.code == "id_token_encrypted"
    assert "id_token_encrypted_response_alg" in error.hint


@pytest.mark.parametrize("key_set", [{}, {"keys": []}, {"keys": None}, [], None, {"keys": [5]}])
def test_the_error_for_an_empty_key_set_names_jwks_uri(key_set: Any) -> None:
    error = refusal(made({}), Keys(key_set))
    assert "jwks_uri" in str(error)
    assert "no keys" in str(error)
    assert "administrator" in error.hint


def test_the_error_for_an_unpublished_key_names_its_kid() -> None:
    assert 'no RS256 key with the kid "k9"' in str(refusal(made({"kid": "k9"})))
    hostile = str(refusal(made({"kid": "<b>\u202e\n" + "x" * 5000})))
    assert hostile.isprintable()
    ec = ECKey.generate_key("P-256", {"kid": "k1"})
    assert 'no RS256 key with the kid "k1"' in str(refusal(made({}), Keys(published(ec))))


@pytest.mark.parametrize(
    ("claims", "field", "says"),
    [
        ({"iss": "https://evil.example"}, "iss", "https://id.example"),
        ({"aud": "other"}, "aud", "another application"),
        ({"azp": "other"}, "azp", "another application"),
        ({"sub": ""}, "sub", "no subject"),
        ({"nonce": "x"}, "nonce", "another sign-in"),
        ({"exp": NOW - 7200}, "", "2 h ago"),
        ({"exp": None}, "exp", "expiry"),
        ({"iat": NOW + 900}, "iat", "15 min in the future"),
        ({"nbf": NOW + 900}, "nbf", "15 min in the future"),
        ({"nbf": "x"}, "nbf", "invalid time"),
    ],
    ids=repr,
)
def test_the_error_names_the_claim(claims: dict[str, Any], field: str, says: str) -> None:
    error = refusal(made({}, altered(**claims)))
    assert field in str(error)
    assert says in str(error)


def test_the_error_for_a_wrong_time_mentions_the_clock() -> None:
    for claims in ({"exp": NOW - 7200}, {"iat": NOW + 900}):
        assert "clock" in refusal(made({}, altered(**claims))).hint


# ── at a refresh (OpenID Connect Core §12.2) ────────────────────────────────────────────────


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 86400, "iat": NOW - 90000},
        {"exp": "yesterday"},
        {"exp": ABSENT},
        {"nonce": "of the first request"},
        {"nonce": ABSENT},
        {"iat": NOW + 3600, "nbf": NOW + 3600},
        {"auth_time": NOW - 10**6},
        {"iss": "https://id.example/"},
        {"azp": None},
    ],
    ids=lambda claims: "-".join(claims),
)
def test_at_a_refresh_times_are_not_checked(claims: dict[str, Any]) -> None:
    token = made({}, altered(**claims))
    assert check(token, nonce=None, renewing=True)["sub"] == "ada"


@pytest.mark.parametrize(
    ("code", "claims"),
    [
        ("issuer", {"iss": "https://evil.example"}),
        ("audience", {"aud": "other"}),
        ("audience", {"azp": "other"}),
        ("subject", {"sub": ""}),
    ],
)
def test_at_a_refresh_the_other_claims_are_checked(code: str, claims: dict[str, Any]) -> None:
    token = made({}, altered(**claims))
    assert refusal(token, nonce=None, renewing=True).code == f"id_token_{code}"
