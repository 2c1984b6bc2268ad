"""The reader of each setting, which checks its value and converts it to its type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import ALL, AUTO, added
from nbauth.core.own_pages import page
from nbauth.core.secret_readers import secret_file, secret_source
from nbauth.core.text import closest
from nbauth.core.value_readers import (
    address,
    flag,
    hosts,
    one_of,
    open_browser,
    parameters,
    proxies,
    redirect_uri,
    seconds,
    text,
    verify,
    verify_form,
    words,
)

PERSISTENCES = ("memory", "keyring", "file")
PERSISTENCE_GROUP = "nbauth.persistence"
"""The entry point group of third-party persistences: ``factory(*, folder, ask) -> Persistence``."""
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
)
"""Endpoints that a profile may set, by their names in a provider's metadata."""
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
"""How a client secret may be sent (RFC 7591 §2)."""
CLOUDS = ("public", "usgov", "dod", "china")


def _persistence(value: Any) -> str:
    from importlib.metadata import entry_points

    word = text(value).lower()
    if word in PERSISTENCES:
        return word
    return one_of((*PERSISTENCES, *entry_points(group=PERSISTENCE_GROUP).names))(word)


def _flow(value: Any) -> str:
    if isinstance(value, str) and value.strip().lower() not in ALL:
        return one_of((*ALL, *added()))(value)
    return one_of(ALL)(value)


def _attended(value: Any) -> bool | str:
    """Whether somebody is there: true, false, or ``"auto"``, which asks the front end."""
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    try:
        return flag(value)
    except ValueError:
        raise ValueError("has to be true, false or auto") from None


def _credential(value: Any) -> Any:
    """A credential of the Azure SDKs: azure-core's ``TokenCredential`` or ``SupportsTokenInfo``."""
    names = ("get_token_info", "get_token")
    method = next((one for name in names if callable(one := getattr(value, name, None))), None)
    if method is None or isinstance(value, type):
        raise ValueError(
            "must be a credential object of azure-identity or another library, with get_token or"
            " get_token_info"
        )
    if iscoroutinefunction(method):
        raise ValueError("must be a synchronous credential, not one of a module .aio")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "profile": text,
    "client_id": text,
    "tenant": text,
    "authority": text,
    "metadata_url": address,
    **dict.fromkeys(ENDPOINTS, address),
    "client_secret_from": secret_source,
    "token_endpoint_auth_method": one_of(SECRET_METHODS),
    "client_certificate": secret_file,
    "client_certificate_chain": flag,
    "client_assertion_file": secret_file,
    "cloud": one_of(CLOUDS),
    "scopes": words,
    "exact_scopes": flag,
    "flow": _flow,
    "persist": _persistence,
    "hosts": hosts,
    "graph_url": address,
    "extra_parameters": parameters,
    "redirect_uri": redirect_uri,
    "open_browser": open_browser,
    "success_page": page,
    "error_page": page,
    "timeout": seconds,
    "redact": flag,
    "refresh_ahead": flag,
    "verify": verify,
    "proxies": proxies,
    "debug": flag,
    "attended": _attended,
    "credential": _credential,
}


SETTINGS = tuple(name for name in _READERS if name != "credential")
_FORM_ALONE = {"verify": verify_form, "persist": text}
"""Readers that do not check whether a file or a package exists."""
_FORMS: dict[Callable[[Any], Any], str] = {
    flag: "true",
    _attended: 'true, false or "auto"',
    seconds: "300",
    words: '["one", "two"]',
    verify: "true, or '/path/of/ca.pem'",
    open_browser: 'true, false or "firefox"',
    address: '"https://id.example/…"',
    redirect_uri: '"http://127.0.0.1:8400/callback"',
    secret_source: '"keyring"',
    secret_file: "'/path/of/the/file.pem'",
}
_NAMED = {
    "token_endpoint_auth_method": '"client_secret_post"',
    "flow": '"device"',
    "client_assertion_file": "'/path/of/the/assertion'",
    "cloud": '"usgov"',
    "persist": '"keyring"',
    "profile": '"work"',
}
_TABLES: dict[Callable[[Any], Any], str] = {
    hosts: '"api.contoso.com" = ["scope"]',
    parameters: 'name = "value"',
    proxies: 'https = "http://proxy:3128"',
}
_CALLED = {"issuer": "authority", "app_id": "client_id", "application_id": "client_id",
           "ca_file": "verify", "ca_bundle": "verify", "cafile": "verify"}  # fmt: skip
"""Names of some settings in other programs."""


def is_table(name: str) -> bool:
    """Whether a setting is a table of names and values."""
    return _READERS.get(name) in _TABLES


def form_of(name: str, profile: str = "work") -> str:
    """How a setting is written in ``config.toml``."""
    reader = _READERS[name]
    if reader in _TABLES:
        return f"{_TABLES[reader]} below [profiles.{profile}.{name}]"
    shown = _NAMED.get(name) or _FORMS.get(reader, '"…"')
    return f"{name} = {shown}"


def meant(written: str, known: Iterable[str]) -> str:
    """The known name most similar to ``written``, ``""`` if none is similar."""
    by_letters = {_letters(name): name for name in known}
    by_letters |= {_letters(name): its for name, its in _CALLED.items() if its in known}
    letters = _letters(written)
    return by_letters.get(letters) or by_letters.get(closest(letters, by_letters), "")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def check_form(name: str, value: Any) -> None:
    """Check the form of a setting's value, but not whether a file or package it names exists.

    Raises ``ValueError``.
    """
    _FORM_ALONE.get(name, _READERS[name])(value)


def read(name: str, value: Any, source: str) -> Any:
    """Check the value of one setting and convert it to its type.

    Raises ``ConfigurationError`` that names the setting and where it was set.
    """
    reader = _READERS.get(name)
    if reader is None:
        guess = f" Did you mean {close}?" if (close := meant(name, SETTINGS)) else ""
        raise ConfigurationError(
            f"There is no setting {name!r} ({source}).{guess}",
            code="unknown_setting",
            hint=f"The settings are {', '.join(_READERS)}.",
        )
    try:
        return reader(value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The setting {name} ({source}) {error}.", code="bad_setting"
        ) from error
