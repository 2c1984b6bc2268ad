"""A refresh answer with a fault in one field: what else it brings is not lost."""

from __future__ import annotations

import base64
import io
import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.oauth.authorities import Authority, parse
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.engines.openid import OpenIDEngine
from nbauth.oauth.engines.protocol import UNTOLD, Engine, expires_in

TENANT = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"
ISSUER = f"{TENANT}/v2.0"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
METADATA = {"issuer": ISSUER, **{name: f"{ISSUER}/{name}" for name in ENDPOINTS}}
READ = Scopes.parse(["read"], microsoft=False)


class Canned(BaseAdapter):
    """Answers with these JSON bodies; the sign-in's own address is asked for first."""

    def __init__(self, token: dict[str, Any]) -> None:
        super().__init__()
        self.token = token

    def send(self, request: Any, **_: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code = 200
        body = METADATA if "well-known" in request.url else self.token
        response.raw = io.BytesIO(json.dumps(body).encode())
        response.url, response.request = request.url, request
        return response

    def close(self) -> None:
        pass


def openid() -> Engine:
    return OpenIDEngine(Authority("oidc", ISSUER), "notebooks")


def microsoft() -> Engine:
    return MicrosoftEngine(parse(TENANT), "notebooks")


def refreshed(engine: Engine, **answer: Any) -> Any:
    token = {"access_token": "a", "expires_in": 3600, "refresh_token": "successor", **answer}
    engine._http.mount("https://", Canned(token))  # type: ignore[attr-defined]
    return engine.refresh("spent", READ)


def an_id_token(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    whole = {"iss": ISSUER, "aud": "notebooks", "sub": "ada", "exp": time.time() - 900, **claims}
    return f"{part({'alg': 'RS256'})}.{part(whole)}.AAAA"


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize(
    "odd",
    [
        {"id_token": an_id_token()},
        {"id_token": an_id_token(aud="another", exp=time.time() + 900)},
        {"id_token": "no token"},
        {"expires_in": "soon", "id_token": "no token"},
        {"id_token": 5},
    ],
)
def test_a_refused_answer_hands_its_refresh_token_on(
    make: Callable[[], Engine], odd: dict[str, Any]
) -> None:
    with pytest.raises(NbAuthError) as caught:
        refreshed(make(), **odd)
    assert str(caught.value.rotated) == "successor"
    assert "successor" not in repr(vars(caught.value))


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize("answer", [{"error": "invalid_grant"}, {"refresh_token": 5}, {}])
def test_an_answer_that_is_none_hands_nothing_on(
    make: Callable[[], Engine], answer: dict[str, Any]
) -> None:
    with pytest.raises(NbAuthError) as caught:
        refreshed(make(), **{"access_token": None, **answer})
    assert caught.value.rotated is None


@pytest.mark.parametrize("told", [None, "", "soon", [], math.inf, -math.inf, math.nan])
def test_a_life_that_cannot_be_read_is_an_hour(told: object) -> None:
    assert expires_in({"expires_in": told}) == UNTOLD
    assert expires_in({}) == UNTOLD


@pytest.mark.parametrize("told", ["read write", ["read", "write"], "read  write", ["read write"]])
def test_scopes_are_read_in_whatever_form_they_come(told: object) -> None:
    assert refreshed(openid(), scope=told).scopes == ("read", "write")


def test_a_userinfo_address_that_is_not_safe_costs_a_name_and_no_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code was spent already when the address was refused."""
    monkeypatch.setitem(METADATA, "userinfo_endpoint", "http://id.example/userinfo")
    engine = openid()
    engine._http.mount("https://", Canned({}))  # type: ignore[attr-defined]
    assert engine._userinfo("an access token", "ada") == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("told", "is_"), [(60, 60.0), ("60", 60.0), (0, 0.0), (1.5, 1.5)])
def test_a_life_that_can_be_read_is_what_it_is(told: object, is_: float) -> None:
    assert expires_in({"expires_in": told}) == is_
