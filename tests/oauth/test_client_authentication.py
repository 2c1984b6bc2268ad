"""Client authentication."""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests

from nbauth.core.errors import ConfigurationError
from nbauth.core.secret import SecretStr
from nbauth.oauth.client_authentication import ClientAuthentication, method_of
from nbauth.oauth.credentials import ClientSecret
from nbauth.oauth.discovery import Read
from nbauth.oauth.engines.microsoft_tokens import application
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata

CODE = {"grant_type": "authorization_code", "code": "a b&c"}


def sent(authentication: ClientAuthentication, data: dict[str, str]) -> Any:
    request = requests.Request("POST", "https://id.example", data=data, auth=authentication)
    return request.prepare()


def test_a_client_without_secret_sends_its_client_id() -> None:
    request = sent(ClientAuthentication("an id"), CODE)
    assert dict(parse_qsl(request.body)) == {**CODE, "client_id": "an id"}
    assert "Authorization" not in request.headers
    assert request.headers["Content-Length"] == str(len(request.body))


def test_existing_parameters_are_not_repeated() -> None:
    request = sent(ClientAuthentication("c"), {**CODE, "client_id": "c"})
    assert sorted(parse_qsl(request.body)) == sorted([*CODE.items(), ("client_id", "c")])


@pytest.mark.parametrize(
    ("client_id", "secret", "pair"),
    [
        ("notebooks", "s3cret", "notebooks:s3cret"),
        ("a:b", "p%q r+s/ü&", "a%3Ab:p%25q+r%2Bs%2F%C3%BC%26"),  # RFC 6749 §2.3.1, appendix B
    ],
)
def test_basic_encodes_client_id_and_secret(client_id: str, secret: str, pair: str) -> None:
    how = ClientAuthentication(client_id, SecretStr(secret))
    request = sent(how, CODE)
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == pair
    assert dict(parse_qsl(request.body)) == CODE


def test_post_sends_client_id_and_secret_in_the_body() -> None:
    how = ClientAuthentication("c", parameters={"client_secret": "p%q r+s/ü&"})
    request = sent(how, CODE)
    said = {**CODE, "client_id": "c", "client_secret": "p%q r+s/ü&"}
    assert dict(parse_qsl(request.body)) == said
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("engine", ["msal", "authlib"])
def test_a_secret_that_is_not_utf_8_is_named_and_in_no_error(engine: str, method: str) -> None:
    secret = ClientSecret(lambda: SecretStr("a-sec\udcffret"), method)
    with pytest.raises(ConfigurationError, match="not UTF-8") as refused:
        if engine == "msal":
            application(secret)
        else:
            ClientAuthentication.of("c", secret, Metadata(Http(), Read({})))
    assert refused.value.code == "no_client_secret"
    assert not isinstance(refused.value.__context__, UnicodeError)
    assert "a-sec" not in str(refused.value)


@pytest.mark.parametrize(
    ("offered", "method"),
    [
        (None, "client_secret_basic"),
        ([], "client_secret_basic"),
        (["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (["client_secret_post", "none"], "client_secret_post"),
        (["private_key_jwt"], "client_secret_basic"),
        ("client_secret_post", "client_secret_post"),
        (5, "client_secret_basic"),
    ],
)
def test_the_offered_method_is_used(offered: Any, method: str) -> None:
    document = {"issuer": "x", "token_endpoint_auth_methods_supported": offered}
    assert method_of(Metadata(Http(), document)) == method


def test_without_metadata_the_secret_is_a_parameter() -> None:
    assert method_of(Metadata(Http(), {"issuer": "x"}, published=False)) == "client_secret_post"
