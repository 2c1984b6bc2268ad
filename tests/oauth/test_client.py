"""A client, and the engines in use: one a client and its way there."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.settings import Settings
from nbauth.oauth.client import MOST_SPELLINGS, Client, Engines
from nbauth.testing.engine import ISSUER, FakeEngine


def a_client(**settings: Any) -> Client:
    return Client.from_settings(Settings(authority=ISSUER, client_id="notebooks", **settings))


@pytest.mark.parametrize(
    "other",
    [
        {"verify": "/etc/ca.pem"},
        {"verify": True},
        {"proxies": {"https": "http://b:1"}},
        {"proxies": {"http": "http://a:1"}},
        {"proxies": None},
    ],
    ids=str,
)
def test_another_way_to_the_provider_has_another_engine(other: dict[str, Any]) -> None:
    here = {"verify": None, "proxies": {"https": "http://a:1"}}
    engines = Engines(lambda authority, client_id, **way: FakeEngine(authority, client_id, **way))
    engine = engines.of(a_client(**here))
    assert engines.of(a_client(**here)) is engine
    assert engines.of(a_client(**{**here, **other})) is not engine
    assert engines.for_sign_in(a_client(**here)) is not engine


def test_spellings_of_scopes_are_remembered_but_not_all_of_them() -> None:
    client = a_client()
    first = client.scopes(("read", "write"))
    assert client.scopes(("read", "write")) is first
    for number in range(3 * MOST_SPELLINGS):
        assert client.scopes((f"scope-{number}",)).key == {f"scope-{number}"}
        assert len(client._parsed) <= MOST_SPELLINGS
    assert client.scopes(("read", "write")) == first
