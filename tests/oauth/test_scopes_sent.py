"""The scopes that a sign-in sends: the requested ones and the offered OpenID scopes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nbauth.core.scopes import Scopes
from nbauth.core.steps import Receiving
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.openid import OpenIDEngine
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata

ISSUER = "https://id.example"
ALWAYS = ["openid", "profile", "email", "offline_access"]


def engine(**document: Any) -> OpenIDEngine:
    made = OpenIDEngine(Authority("oidc", ISSUER), "notebooks")
    made._metadata = Metadata(
        Http(),
        {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize", **document},
    )
    made._metadata._keys = {"keys": []}
    return made


def sent(made: OpenIDEngine, *scopes: str, **options: Any) -> dict[str, str]:
    request = AuthorizationRequest(Scopes.parse(scopes, microsoft=False), **options)
    url = made.authorize(request, Receiving("http://127.0.0.1:1/", "x" * 32)).authorize_url
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.parametrize(
    ("supported", "added"),
    [
        (ALWAYS, ALWAYS),
        (["openid", "email", "profile"], ["openid", "profile", "email"]),  # Google
        (["api", "read_user", "openid", "profile", "email"], ["openid", "profile", "email"]),
        (["openid"], ["openid"]),
        ([], []),
        (None, ["openid"]),
        ("openid profile", ["openid", "profile"]),
        ({"openid": True}, ["openid"]),
        (["openid", None, 5, ["profile"]], ["openid"]),
    ],
)
def test_only_offered_scopes_are_added(supported: Any, added: list[str]) -> None:
    made = engine() if supported is None else engine(scopes_supported=supported)
    assert sent(made, "api")["scope"].split() == ["api", *added]


def test_requested_scopes_are_sent_even_if_not_offered() -> None:
    asked = sent(engine(scopes_supported=["openid"]), "api", "offline_access", "email")
    assert set(asked["scope"].split()) == {"api", "offline_access", "email", "openid"}
    assert asked["prompt"] == "consent"


@pytest.mark.parametrize("scopes", [("api",), ("openid",), ("openid", "offline_access")])
def test_exact_scopes_add_nothing(scopes: tuple[str, ...]) -> None:
    asked = sent(engine(scopes_supported=ALWAYS), *scopes, exact_scopes=True)
    assert asked["scope"].split() == [*scopes]
    assert ("prompt" in asked) is ("offline_access" in scopes)


@pytest.mark.parametrize(
    ("supported", "prompt", "expected"),
    [
        (ALWAYS, None, "consent"),
        (["openid"], None, None),
        (ALWAYS, "unset", None),
        (["openid"], "unset", None),
        (ALWAYS, "login", "login"),
    ],
)
def test_prompt_consent_is_sent_only_for_a_refresh_token(
    supported: list[str], prompt: str | None, expected: str | None
) -> None:
    assert sent(engine(scopes_supported=supported), "api", prompt=prompt).get("prompt") == expected


def test_consent_also_is_sent_to_the_authorization_endpoint_only() -> None:
    asked = sent(engine(scopes_supported=[]), "api", consent_also=("more",))
    assert asked["scope"] == "api more"
