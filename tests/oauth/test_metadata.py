"""What a provider says of itself."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata


@pytest.mark.parametrize(
    "name", ["token_endpoint", "jwks_uri", "revocation_endpoint", "userinfo_endpoint"]
)
def test_an_endpoint_for_secrets_is_https(name: str) -> None:
    metadata = Metadata(Http(), {"issuer": "https://id.example", name: "http://id.example/x"})
    with pytest.raises(ConfigurationError) as refused:
        metadata.get(name)
    assert refused.value.code == "not_https"
    assert Metadata(Http(), {name: "https://id.example/x"}).get(name) == "https://id.example/x"


def test_a_missing_endpoint_is_none() -> None:
    assert Metadata(Http(), {"issuer": "https://id.example"}).get("token_endpoint") is None
