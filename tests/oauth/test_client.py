"""Clients, and the engines in use: one per client and network settings."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.account import ClientKey
from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import GRAPH
from nbauth.core.settings import Settings, resolve
from nbauth.oauth.client import MOST_SPELLINGS, Client, Engines
from nbauth.testing.engine import ISSUER, FakeEngine

B2C_APP = "11111111-2222-3333-4444-555555555555"


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
def test_other_network_settings_have_another_engine(other: dict[str, Any]) -> None:
    here = {"verify": None, "proxies": {"https": "http://a:1"}}
    engines = Engines(lambda authority, client_id, **way: FakeEngine(authority, client_id, **way))
    engine = engines.of(a_client(**here))
    assert engines.of(a_client(**here)) is engine
    assert engines.of(a_client(**{**here, **other})) is not engine
    assert engines.for_sign_in(a_client(**here)) is not engine


def test_the_cache_of_scope_spellings_is_limited() -> None:
    client = a_client()
    first = client.scopes(("read", "write"))
    assert client.scopes(("read", "write")) is first
    for number in range(3 * MOST_SPELLINGS):
        assert client.scopes((f"scope-{number}",)).key == {f"scope-{number}"}
        assert len(client._parsed) <= MOST_SPELLINGS
    assert client.scopes(("read", "write")) == first


@pytest.mark.parametrize(
    ("settings", "scopes"),
    [
        ({"authority": "https://id.example"}, ["openid"]),
        ({"authority": "https://id.example", "scopes": ("read",)}, ["read"]),
        ({"authority": "https://login.microsoftonline.com/common"}, [f"{GRAPH}/User.Read"]),
        (
            {
                "authority": "https://github.example",
                "device_authorization_endpoint": "https://github.example/device",
                "token_endpoint": "https://github.example/token",
            },
            [],
        ),
    ],
    ids=["openid", "named", "microsoft", "no metadata"],
)
def test_default_scopes(settings: dict[str, Any], scopes: list[str]) -> None:
    client = Client.from_settings(Settings(client_id="notebooks", **settings))
    assert list(client.scopes(())) == scopes


@pytest.mark.parametrize(
    ("authority", "hint"),
    [("https://login.microsoftonline.com/common", "az ad app create"), (ISSUER, "public client")],
)
def test_without_a_client_id_the_error_says_how_to_get_one(authority: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client.from_settings(Settings(authority=authority))
    assert caught.value.code == "no_client_id"
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("granted", "wanted", "covered"),
    [
        (["read"], ["read"], True),
        (["read"], ["read", "offline_access", "openid"], True),
        (["openid"], ["read"], False),
        ([], ["openid"], True),
    ],
)
def test_reserved_scopes_need_not_be_granted(
    granted: list[str], wanted: list[str], covered: bool
) -> None:
    here = a_client()
    assert here.covers(granted, here.scopes(tuple(wanted))) is covered


def test_default_scope_is_granted_as_other_scopes() -> None:
    entra = Client.from_settings(Settings(client_id="c", tenant="contoso.com"))
    assert entra.covers(["User.Read"], entra.scopes(("User.Read",)))
    assert entra.covers(["User.Read"], entra.scopes(("https://graph.microsoft.com/.default",)))
    assert not entra.covers(["User.Read"], entra.scopes(("Mail.Read",)))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"authority": "https://id.example/realm/"}, "oidc"),
        ({"authority": "http://localhost:8080/realm"}, "oidc"),
        ({"tenant": "contoso.com"}, "entra"),
        ({"authority": "https://fs.contoso.com/adfs"}, "adfs"),
        (
            {
                "authority": "https://login.contoso.com/11111111-2222-3333-4444-555555555555/v2.0/",
                "metadata_url": "https://login.contoso.com/meta",
            },
            "oidc",
        ),
    ],
    ids=str,
)
def test_a_client_from_a_key_has_that_key(settings: dict[str, str], kind: str) -> None:
    client = Client.from_settings(Settings(client_id="c", **settings))
    again = Client.from_key(client.key)
    assert (again.key, again.authority.kind) == (client.key, kind)


@pytest.mark.parametrize(
    ("authority", "default", "read"),
    [
        ("https://login.microsoftonline.com/common", f"{GRAPH}/User.Read", f"{GRAPH}/read"),
        ("https://contoso.ciamlogin.com", f"{GRAPH}/User.Read", f"{GRAPH}/read"),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_x", B2C_APP, "read"),
        ("https://fs.contoso.com/adfs", "openid", "read"),
        ("https://id.example", "openid", "read"),
    ],
)
def test_short_names_and_the_default_belong_to_graph_only_where_it_is(
    authority: str, default: str, read: str
) -> None:
    client = Client.from_settings(resolve({"authority": authority, "client_id": B2C_APP}, {}, {}))
    assert str(client.scopes(())) == default
    assert str(client.scopes(("read",))) == read
    assert client.covers([read], client.scopes(("read",)))


def test_at_ad_fs_a_short_name_does_not_name_a_second_api() -> None:
    client = Client.from_settings(
        resolve({"authority": "https://fs.contoso.com/adfs", "client_id": B2C_APP}, {}, {})
    )
    assert client.scopes(("allatclaims", "https://api/read"))
    with pytest.raises(ConfigurationError, match="names 2"):
        client.scopes(("https://other/read", "https://api/read"))


@pytest.mark.parametrize("host", ["login.windows.net", "login.microsoft.com"])
def test_a_stored_account_of_an_alias_keeps_its_key(host: str) -> None:
    key = ClientKey(f"https://{host}/contoso.com", B2C_APP)
    client = Client.from_key(key)
    assert client.key == key
    assert client.authority.microsoft


def test_the_aliases_of_a_cloud_are_one_account_space() -> None:
    hosts = ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com")
    keys = {
        Client.from_settings(
            resolve({"authority": f"https://{host}/{tenant}", "client_id": "x"}, {}, {})
        ).key
        for host in hosts
        for tenant in ("contoso.com", "Contoso.COM")
    }
    assert len(keys) == 1
