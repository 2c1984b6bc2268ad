from __future__ import annotations

import base64
import hmac
import json
import math
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from nbauth.core.errors import SignInError
from nbauth.oauth import id_token

NOW = 1_800_000_000
TENANT = "11111111-2222-3333-4444-555555555555"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})
GOOD: dict[str, Any] = {
    "iss": "https://id.example",
    "aud": "notebooks",
    "sub": "ada",
    "exp": NOW + 3600,
    "iat": NOW,
    "nonce": "n-1",
}
ABSENT = object()


def signed(
    claims: dict[str, Any] | bytes, key: Any = KEY, *, alg: str = "RS256", kid: str | None = "k1"
) -> str:
    header = {"alg": alg, **({"kid": kid} if kid else {})}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact(header, payload, key, algorithms=[alg])


def published(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


class Keys:
    """Returns the key sets in turn, then always the last one; counts calls."""

    def __init__(self, *key_sets: Any) -> None:
        self.key_sets = list(key_sets)
        self.asked: list[bool] = []

    def __call__(self, anew: bool) -> Any:
        self.asked.append(anew)
        return self.key_sets.pop(0) if len(self.key_sets) > 1 else self.key_sets[0]


def check(token: str, keys: Any = None, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "issuer": "https://id.example",
        "client_id": "notebooks",
        "nonce": "n-1",
        "keys": keys or Keys(published(KEY)),
        "now": lambda: NOW,
        **changes,
    }
    return id_token.check(token, **options)


def refusal(token: Any, keys: Any = None, **changes: Any) -> str:
    with pytest.raises(SignInError, match="it was rejected") as caught:
        check(token, keys, **changes)
    assert len(str(token)) < 40 or str(token)[:40] not in str(caught.value)
    return caught.value.code


def altered(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not ABSENT}


def test_a_valid_token_returns_its_claims_and_fetches_keys_once() -> None:
    keys = Keys(published(KEY))
    assert check(signed(GOOD), keys) == GOOD
    assert keys.asked == [False]


@pytest.mark.parametrize(
    "claims",
    [
        altered(aud=["notebooks"]),
        altered(aud=["other", "notebooks"], azp="notebooks"),
        altered(azp="notebooks"),
        altered(azp=None),
        altered(azp=""),
        altered(aud=["notebooks", 5, None], azp=None),
        altered(iss="https://id.example/"),
        altered(exp=str(NOW + 3600)),
        altered(iat=NOW + id_token.SKEW, nbf=NOW + id_token.SKEW),
        altered(iat=str(NOW), nbf=None),
        altered(exp=NOW - id_token.SKEW + 1),
        altered(exp=float(NOW + 60)),
        altered(iat=ABSENT),
    ],
)
def test_other_valid_tokens(claims: dict[str, Any]) -> None:
    assert check(signed(claims)) == claims


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("issuer", {"iss": "https://evil.example"}),
        ("issuer", {"iss": "https://id.example//"}),
        ("issuer", {"iss": "https://id.example/realm"}),
        ("issuer", {"iss": "HTTPS://id.example"}),
        ("issuer", {"iss": ""}),
        ("issuer", {"iss": "/"}),
        ("issuer", {"iss": ABSENT}),
        ("issuer", {"iss": ["https://id.example"]}),
        ("audience", {"aud": "other"}),
        ("audience", {"aud": "notebooks2"}),
        ("audience", {"aud": []}),
        ("audience", {"aud": ABSENT}),
        ("audience", {"aud": {"notebooks": 1}}),
        ("audience", {"aud": [["notebooks"]]}),
        ("audience", {"azp": "other"}),
        ("audience", {"azp": ["notebooks"]}),
        ("audience", {"azp": 0}),
        ("audience", {"aud": ["notebooks", "other"], "azp": "other"}),
        ("expired", {"exp": NOW - id_token.SKEW}),
        ("expired", {"exp": 0}),
        ("expired", {"exp": ABSENT}),
        ("expired", {"exp": str(NOW - id_token.SKEW)}),
        ("expired", {"exp": "tomorrow"}),
        ("expired", {"exp": f"{NOW + 3600}.5e3"}),
        ("expired", {"exp": "-1"}),
        ("expired", {"exp": True}),
        ("expired", {"exp": math.inf}),
        ("expired", {"exp": math.nan}),
        ("expired", {"exp": 10**400}),
        ("expired", {"exp": 1e300}),
        ("not_yet", {"iat": 10**400}),
        ("not_yet", {"nbf": 10**290}),
        ("expired", {"exp": [NOW + 3600]}),
        ("not_yet", {"iat": NOW + id_token.SKEW + 1}),
        ("not_yet", {"nbf": NOW + id_token.SKEW + 1}),
        ("not_yet", {"nbf": str(NOW + 3600)}),
        ("not_yet", {"nbf": "later"}),
        ("not_yet", {"iat": math.nan}),
        ("nonce", {"nonce": "n-2"}),
        ("nonce", {"nonce": ABSENT}),
        ("nonce", {"nonce": None}),
        ("subject", {"sub": ABSENT}),
        ("subject", {"sub": ""}),
        ("subject", {"sub": " "}),
        ("subject", {"sub": None}),
        ("subject", {"sub": 5}),
    ],
)
def test_a_wrong_claim_is_rejected(code: str, changes: dict[str, Any]) -> None:
    assert refusal(signed(altered(**changes))) == f"id_token_{code}"


def test_the_nonce_is_not_checked_if_none_was_sent() -> None:
    assert check(signed(altered(nonce=ABSENT)), nonce=None)["sub"] == "ada"


@pytest.mark.parametrize(
    ("auth_time", "max_age", "good"),
    [
        (NOW, 60, True),
        (NOW - 60 - id_token.SKEW, 60, True),
        (NOW - 61 - id_token.SKEW, 60, False),
        (NOW - 10, 0, True),
        (ABSENT, 60, False),
        (str(NOW), 60, True),
        (str(NOW - 61 - id_token.SKEW), 60, False),
        ("just now", 60, False),
        (ABSENT, None, True),
    ],
)
def test_max_age(auth_time: Any, max_age: int | None, good: bool) -> None:
    token = signed(altered(auth_time=auth_time))
    if good:
        check(token, max_age=max_age)
    else:
        assert refusal(token, max_age=max_age) == "id_token_auth_time"


@pytest.mark.parametrize(
    ("tid", "tenant", "code"),
    [
        (TENANT, TENANT, None),
        (TENANT, TENANT.upper(), None),
        (TENANT, "common", None),
        (TENANT, "", None),
        (TENANT.replace("1", "9"), TENANT, "id_token_tenant"),
        ("9", TENANT, "id_token_issuer"),
        ("../evil", "", "id_token_issuer"),
    ],
)
def test_tenants_of_a_templated_issuer(tid: str, tenant: str, code: str | None) -> None:
    claims = altered(tid=tid, iss=f"https://login.example/{tid}/v2.0")
    options = {"issuer": "https://login.example/{tenantid}/v2.0", "tenant": tenant}
    if code is None:
        assert check(signed(claims), **options)["tid"] == tid
    else:
        assert refusal(signed(claims), **options) == code


def test_the_template_matches_the_tokens_tenant_only() -> None:
    claims = altered(tid=TENANT, iss=f"https://login.example/{TENANT.replace('1', '9')}/v2.0")
    issuer = "https://login.example/{tenantid}/v2.0"
    assert refusal(signed(claims), issuer=issuer) == "id_token_issuer"


def test_unsigned_tokens_are_rejected_even_if_no_signature_is_checked() -> None:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none"}, GOOD)
    )
    for token in (f"{head}.{body}.", f"{head}.{body}.AAAA"):
        assert refusal(token) in {"id_token_algorithm", "id_token_malformed"}
        with pytest.raises(SignInError):
            id_token.check(token, issuer=GOOD["iss"], client_id="notebooks", now=lambda: NOW)


def test_a_public_key_is_not_accepted_as_a_shared_secret() -> None:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "kid": "k1"}, GOOD)
    )
    for secret in (KEY.as_pem(private=False), KEY.as_der(private=False)):
        seal = hmac.digest(secret, head + b"." + body, "sha256")
        token = b".".join([head, body, base64.urlsafe_b64encode(seal).rstrip(b"=")]).decode()
        assert refusal(token) == "id_token_algorithm"


@pytest.mark.parametrize("alg", [None, 5, ["RS256"], "rs256", "RS1", "none", "HS512", "dir"])
def test_other_algorithms_are_rejected(alg: Any) -> None:
    head = base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": "k1"}).encode()).decode()
    _, body, signature = signed(GOOD).split(".")
    token = f"{head.rstrip('=')}.{body}.{signature}"
    assert refusal(token) in {"id_token_algorithm", "id_token_malformed"}


def test_a_signature_by_another_key_is_rejected() -> None:
    keys = Keys(published(KEY))
    assert refusal(signed(GOOD, OTHER_KEY), keys) == "id_token_signature"
    assert keys.asked == [False, True]


def test_claims_changed_after_signing_are_rejected() -> None:
    head, _, signature = signed(GOOD).split(".")
    _, body, _ = signed(altered(sub="eve")).split(".")
    assert refusal(f"{head}.{body}.{signature}") == "id_token_signature"


def test_a_token_from_the_token_endpoint_needs_no_keys() -> None:
    """OpenID Connect Core §3.1.3.7 item 6: TLS authenticates it."""
    claims = id_token.check(
        signed(GOOD, OTHER_KEY), issuer=GOOD["iss"], client_id="notebooks", now=lambda: NOW
    )
    assert claims["sub"] == "ada"


def test_changed_keys_are_fetched_again_once() -> None:
    keys = Keys(published(OTHER_KEY), published(OTHER_KEY, KEY))
    assert check(signed(GOOD), keys)["sub"] == "ada"
    assert keys.asked == [False, True]


@pytest.mark.parametrize("key_order", [(KEY, OTHER_KEY), (OTHER_KEY, KEY)])
def test_a_token_without_kid_is_checked_with_all_keys(key_order: Any) -> None:
    for key in (KEY, OTHER_KEY):
        keys = Keys(published(*key_order))
        for _ in range(5):
            assert check(signed(GOOD, key, kid=None), keys)["sub"] == "ada"


def test_elliptic_curve_keys_are_accepted() -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    assert check(signed(GOOD, key, alg="ES256"), Keys(published(KEY, key)))["sub"] == "ada"


@pytest.mark.parametrize(
    "stranger",
    [
        {"kty": "oct", "k": "AAAA", "kid": "x"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "x", "kid": "x"},
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "x"},
        {"kty": "OKP", "crv": "X448x", "x": "AA", "kid": "x"},
        {"kty": "RSA", "kid": "broken"},
        {"kid": "typeless"},
        "no key",
    ],
)
def test_unknown_keys_are_ignored(stranger: Any) -> None:
    key_set = published(KEY)
    key_set["keys"].insert(0, stranger)
    assert check(signed(GOOD), Keys(key_set))["sub"] == "ada"


@pytest.mark.parametrize("key_set", [{}, {"keys": []}, {"keys": None}, {"keys": "x"}, [], None])
def test_a_malformed_key_set_is_rejected(key_set: Any) -> None:
    assert refusal(signed(GOOD), Keys(key_set)) == "id_token_signature"


def test_an_encryption_key_is_not_used_for_signatures() -> None:
    key_set = published(KEY)
    key_set["keys"][0]["use"] = "enc"
    assert refusal(signed(GOOD), Keys(key_set)) == "id_token_signature"


def test_a_key_with_another_kid_is_not_used() -> None:
    assert refusal(signed(GOOD, KEY, kid="k2"), Keys(published(KEY))) == "id_token_signature"


def test_a_key_without_kid_is_tried() -> None:
    key_set = published(OTHER_KEY, KEY)
    for key in key_set["keys"]:
        del key["kid"]
    assert check(signed(GOOD), Keys(key_set))["sub"] == "ada"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "....",
        "\u202e.x.y",
        signed(b"no json"),
        signed(b"[1]"),
        signed(b'"text"'),
        signed(b"\xff\xfe"),
        5,
        {"a": 1},
    ],
)
def test_a_malformed_token_is_rejected(token: Any) -> None:
    assert refusal(token) == "id_token_malformed"


def test_the_signature_is_checked_before_the_claims() -> None:
    assert refusal(signed(altered(iss="https://evil.example"), OTHER_KEY)) == "id_token_signature"
