"""Settings of one provider: its endpoints, and where the client secret is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import Settings, resolve
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.settings_values import ENDPOINTS, read

ADDRESSES = ("metadata_url", *ENDPOINTS)
SECRET = "wJalrXUtnFEMI-K7MDENG"


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "address", ["https://id.example/x?y=z", "http://localhost:8080/x", " https://id.example/x "]
)
def test_an_endpoint_address_is_accepted(name: str, address: str) -> None:
    assert read(name, address, "here") == address.strip()


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        "http://id.example/token",
        "id.example/token",
        "ftp://id.example",
        "javascript:alert(1)",
        "https://",
        "https://user:word@id.example/",
        "https://id.example/#x",
        "https://id.example/a b",
        "",
        5,
        ["https://id.example"],
    ],
    ids=str,
)
def test_an_endpoint_that_is_not_secure_is_rejected_with_the_correct_form(
    name: str, address: Any
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(name, address, "here")
    assert name in str(refused.value)
    if isinstance(address, str) and address:
        assert "https://id.example/oauth/token" in str(refused.value)
        assert "word@" not in str(refused.value)


def test_endpoints_are_listed_by_name() -> None:
    given = {name: f"https://id.example/{name}" for name in ENDPOINTS}
    assert dict(Settings(**given).endpoints) == given
    assert Settings().endpoints == ()


@pytest.mark.parametrize("place", ["environment", " Keyring "])
def test_client_secret_from_is_accepted(place: str) -> None:
    assert read("client_secret_from", place, "here") == place.strip().lower()


def test_an_error_does_not_repeat_a_secret_written_as_a_setting() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read("client_secret_from", SECRET, "here")
    assert "environment, keyring" in str(refused.value)
    assert SECRET.lower() not in f"{refused.value} {refused.value.hint}".lower()


def test_there_is_no_setting_for_a_secret() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read("client_secret", SECRET, "here")
    assert SECRET not in f"{refused.value} {refused.value.hint}"
    assert resolve({}, {}, {"NBAUTH_CLIENT_SECRET": SECRET}) == Settings()


@pytest.fixture
def reader(tmp_path: Path) -> SettingsReader:
    lines = [
        "[profiles.own]",
        'authority = "https://own.example/"',
        'client_id = "c"',
        'client_secret_from = "keyring"',
        *(f'{name} = "https://own.example/{name}"' for name in ADDRESSES),
    ]
    file = tmp_path / "config.toml"
    file.write_text("\n".join(lines))
    return SettingsReader({}, lambda: [file], look_every=0)


OF_ITS_ISSUER = (*ADDRESSES, "client_secret_from")


@pytest.mark.parametrize(
    "call", [{}, {"authority": "https://own.example"}, {"client_id": "another"}], ids=str
)
def test_they_apply_to_their_issuer(reader: SettingsReader, call: dict[str, str]) -> None:
    found = reader.settings(profile="own", **call)
    assert all(getattr(found, name) for name in OF_ITS_ISSUER)
    assert found.source("token_endpoint").startswith("profile 'own'")


@pytest.mark.parametrize(
    "call", [{"authority": "https://other.example"}, {"tenant": "contoso.com"}, {"cloud": "china"}]
)
def test_they_do_not_apply_to_another_issuer(reader: SettingsReader, call: dict[str, str]) -> None:
    """Otherwise a code, a refresh token or a secret would be sent to another issuer."""
    found = reader.settings(profile="own", **call)
    assert {name: getattr(found, name) for name in OF_ITS_ISSUER} == dict.fromkeys(OF_ITS_ISSUER)
    assert {found.source(name) for name in OF_ITS_ISSUER} == {"default"}


def test_a_layer_of_higher_precedence_can_set_them_for_the_other_issuer(
    reader: SettingsReader,
) -> None:
    call = {"authority": "https://other.example", "token_endpoint": "https://other.example/t"}
    found = reader.settings(profile="own", **call)
    assert found.endpoints == (("token_endpoint", "https://other.example/t"),)


@pytest.mark.parametrize("name", ["client_certificate", "client_assertion_file"])
@pytest.mark.parametrize(
    "value",
    [
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
        "eyJhbGciOiJSUzI1NiJ9.e30.x",
        5,
    ],
)
def test_a_secret_in_place_of_its_file_is_refused_and_not_shown(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match="must be the path of a file") as refused:
        read(name, value, "here")
    assert "MIIE" not in "".join(refused.value.lines())
    assert "eyJ" not in "".join(refused.value.lines())


def test_the_path_of_a_certificate_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert read("client_certificate", "~/client.pem", "here") == "/home/ada/client.pem"
