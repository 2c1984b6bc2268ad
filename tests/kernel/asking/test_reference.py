"""What travels with a pickled object: the settings that say what a call means, and no secret."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import NAMES, Settings, resolve
from nbauth.kernel.asking.reference import (
    NETWORK,
    TRAVEL,
    Names,
    Reference,
    client_from,
    settings_that_travel,
)
from nbauth.oauth.client import Client

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
BY_HAND = {"authority": "https://id.example", "token_endpoint": "https://id.example/t"}
AUTHORITIES: list[dict[str, Any]] = [
    {},
    {"tenant": "contoso.com"},
    {"tenant": TENANT, "cloud": "china"},
    {"tenant": "organizations", "cloud": "usgov"},
    {"authority": f"https://login.microsoftonline.com/{TENANT}/v2.0"},
    {"authority": f"https://login.microsoftonline.us/{TENANT}"},
    {"authority": "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_in"},
    {"authority": "https://login.contoso.com/contoso.onmicrosoft.com/B2C_1A_in"},
    {"authority": f"https://contoso.ciamlogin.com/{TENANT}"},
    {"authority": f"https://login.contoso.com/{TENANT}/v2.0"},
    {"authority": "https://adfs.contoso.com/adfs/"},
    {"authority": "https://id.example/realms/one/"},
    {"authority": "http://127.0.0.1:8080/one"},
    {"authority": "https://id.example", "metadata_url": "https://id.example/metadata"},
    {**BY_HAND, "authorization_endpoint": "https://id.example/a"},
    {**BY_HAND, "authority": f"https://id.example/{TENANT}"},
    {**BY_HAND, "device_authorization_endpoint": "https://id.example/d"},
    {"tenant": TENANT, "client_id": None},
]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"scopes": ["read"], "exact_scopes": True, "refresh_ahead": False},
    {"hosts": {"api.example": ["read"]}},
    {"extra_parameters": {"audience": "https://api", "resource": "x", "ui": "dark"}},
    {"verify": True, "proxies": {"https": "http://proxy:1"}},
    {"graph_url": "https://graph.example/v1.0"},
    {"proxies": {}},
]
SECRET = "hunter2"


def client_of(**settings: Any) -> Client:
    return Client.from_settings(resolve(settings, {}, {}), need_id=False)


def names_of(client: Client, travelled: Any = None) -> Names:
    travelled = settings_that_travel(client) if travelled is None else travelled
    reference = Reference("session", "name", "", "")
    return Names(reference, client.key, "work", "memory", None, True, travelled)


def on_worker(client: Client, own: Settings | None = None) -> Client:
    names = pickle.loads(pickle.dumps(names_of(client)))
    return client_from(names, lambda: own or Settings())


@pytest.mark.parametrize("authority", AUTHORITIES, ids=str)
def test_a_client_is_the_same_on_a_worker(authority: dict[str, Any]) -> None:
    for settings in SETTINGS:
        made = client_of(**{"client_id": "notebooks", **authority, **settings})
        for client in (made, Client.from_key(made.key)):
            there = on_worker(client)
            assert (there.key, there.authority) == (client.key, client.authority)
            assert there.targets == client.targets
            assert there.settings.profile == "work"
            for name in (*TRAVEL, *NETWORK):
                assert getattr(there.settings, name) == getattr(client.settings, name), name
            if client.client_id:
                assert there.scopes(()) == client.scopes(())


def test_each_setting_travels_or_is_of_no_use_on_a_worker() -> None:
    stays = {
        # how a person signs in, and where that is shown
        "flow", "redirect_uri", "open_browser", "success_page", "error_page", "timeout", "attended",
        # of the process
        "redact", "debug",
        # the credential of the client, and where accounts are stored: only the kernel uses these
        "client_secret_from", "token_endpoint_auth_method", "client_certificate",
        "client_certificate_chain", "client_assertion_file", "persist",
        # apart, in Names
        "profile", "client_id", "extra_parameters",
    }  # fmt: skip
    assert stays.isdisjoint((*TRAVEL, *NETWORK))
    assert stays | {*TRAVEL, *NETWORK} == set(NAMES)


@pytest.mark.parametrize(
    "secret",
    [
        {"client_secret_from": "environment"},
        {"client_certificate": f"/{SECRET}.pem"},
        {"client_assertion_file": f"/{SECRET}"},
        {"proxies": {"http": "http://proxy", "https": f"http://ada:{SECRET}@proxy:1"}},
        {"extra_parameters": {"password_hint": SECRET, "audience": "x"}},
    ],
    ids=str,
)
def test_no_secret_travels(secret: dict[str, Any]) -> None:
    client = Client.from_settings(Settings(client_id="notebooks", **secret))
    data = pickle.dumps(names_of(client))
    assert SECRET.encode() not in data
    assert b"secret" not in data
    there = on_worker(client).settings
    assert (there.client_certificate, there.client_secret_from) == (None, None)
    assert (there.client_assertion_file, there.proxies) == (None, None)


def test_a_credential_object_does_not_travel() -> None:
    settings = Settings(client_id="notebooks", credential=object(), flow="credential")
    client = Client.from_settings(settings)
    assert on_worker(client).settings.credential is None


@pytest.mark.parametrize(
    ("own", "used"),
    [
        ({}, ("/ca.pem", {"https": "http://proxy"})),
        ({"verify": "/own.pem"}, ("/own.pem", {"https": "http://proxy"})),
        ({"proxies": {"https": "http://own"}}, ("/ca.pem", {"https": "http://own"})),
        ({"proxies": {}}, ("/ca.pem", {})),
    ],
)
def test_a_worker_has_its_own_network(own: dict[str, Any], used: Any) -> None:
    network = {"verify": "/ca.pem", "proxies": {"https": "http://proxy"}}
    client = Client.from_settings(Settings(client_id="notebooks", **network))
    there = on_worker(client, Settings(**own)).settings
    assert (there.verify, there.proxies) == used


def test_nothing_else_of_a_worker_is_used() -> None:
    """Its settings may name the same client with other hosts: they are another person's."""
    own = resolve(
        {
            "client_id": "notebooks",
            "authority": "https://id.example",
            "hosts": {"evil.example": ["read"]},
            "scopes": ["all"],
            "extra_parameters": {"audience": "other"},
            "graph_url": "https://evil.example/v1.0",
            "refresh_ahead": False,
        },
        {},
        {},
    )
    client = client_of(client_id="notebooks", authority="https://id.example", scopes=["read"])
    assert on_worker(client, own) == on_worker(client)
    assert on_worker(client, own).settings.hosts == {}


def test_invalid_settings_of_a_worker_do_not_matter() -> None:
    def own() -> Settings:
        raise ConfigurationError("config.toml has a mistake.")

    client = client_of(client_id="notebooks", hosts={"api.example": ["read"]})
    assert client_from(names_of(client), own) == on_worker(client)


def test_settings_of_another_version_are_ignored() -> None:
    """An error when a task is loaded would stop a ``multiprocessing.Pool`` for ever."""
    client = client_of(client_id="notebooks", authority="https://id.example")
    travelled = (*settings_that_travel(client), ("unheard_of", 1), ("flow", "device"))
    there = client_from(names_of(client, travelled), Settings)
    assert there.key == client.key
    assert there.settings.flow == Settings().flow
