"""The descriptions of settings and their values."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.settings import CREDENTIALS, NAMES, resolve
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.settings_values import ENDPOINTS
from nbauth.jupyter.places.in_words import INDENT, settings_in_words

SET: dict[str, Any] = {
    "client_id": "notebooks",
    "authority": "https://u:hunter2@id.example",
    "metadata_url": "https://id.example/meta",
    "token_endpoint": "https://id.example/token",
    "client_secret_from": "environment",
    "scopes": ["a", "b"],
    "flow": "device",
    "persist": "keyring",
    "hosts": {"api.example.com": ["a"]},
    "extra_parameters": {"api_key": "hunter2"},
    "redirect_uri": "http://127.0.0.1/back",
    "open_browser": print,
    "success_page": "Good.",
    "timeout": 90,
    "refresh_ahead": False,
    "verify": True,
    "proxies": {"https": "http://u:hunter2@proxy"},
    "debug": True,
}


def lines_of(**settings: Any) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    label = ""
    for line in settings_in_words(resolve(settings, {}, {})):
        label = line[:INDENT].strip() or label
        said.setdefault(label, []).append(line[INDENT:].strip())
    return said


def test_every_setting_is_listed_with_its_source() -> None:
    groups = {"endpoints", "client credential"}
    labels = {name for name in NAMES if name not in (*ENDPOINTS, *CREDENTIALS)} | groups
    for said, source in ((lines_of(), "(default)"), (lines_of(**SET), None)):
        assert set(said) == labels
        for name, (first, *_) in said.items():
            value, _, where = first.rpartition("(")
            assert value.strip() not in {"", "None", "()", "{}"}, name
            expected = "this call" if name in SET or name in groups else "default"
            assert f"({where}" == (source or f"({expected})"), name


def test_the_descriptions() -> None:
    said = lines_of(**SET)
    for name, words in {
        "flow": "device: a code that is entered on any device",
        "persist": "keyring: encrypted files",
        "refresh_ahead": "false: a token is refreshed when it is needed",
        "verify": "true: the CAs of certifi",
        "debug": "true: errors show their traceback",
        "client credential": "client_secret_from: environment: NBAUTH_CLIENT_SECRET",
        "endpoints": "token_endpoint: https://id.example/token",
        "hosts": "api.example.com",
        "proxies": "https",
        "open_browser": "print",
        "scopes": "a b",
    }.items():
        assert said[name][0].startswith(words), said[name]


def test_the_keyring_entry_has_the_form_of_the_keyring_command() -> None:
    said = lines_of(client_secret_from="keyring")
    (line,) = said["client credential"]
    assert line.startswith("client_secret_from: keyring: the entry nbauth:default for")


def test_no_password_is_shown() -> None:
    assert "hunter2" not in repr(lines_of(**SET))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NBAUTH_CLIENTID", "NBAUTH_CLIENT_ID"),
        ("nbauth_client_id", "NBAUTH_CLIENT_ID"),
        ("NBAUTH_PASSPHRAS", "NBAUTH_PASSPHRASE"),
        ("NBAUTH_CLIENT_SECRETS", "NBAUTH_CLIENT_SECRET"),
        ("NBAUTH_QQQQ", ""),
    ],
)
def test_unknown_nbauth_variables_are_reported(name: str, meant: str) -> None:
    environ = {name: "x", "NBAUTH_CLIENT_ID": "c", "NBAUTH_CLIENT_SECRET": "s", "OTHER": "x"}
    assert SettingsReader(environ).strays() == [(name, meant)]
