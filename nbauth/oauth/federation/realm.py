"""User realm discovery: which server checks the password of a user of Microsoft's authority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from nbauth.core.errors import AuthorityUnreachable
from nbauth.oauth.answers import json_in, text_in
from nbauth.oauth.authorities import Authority
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.http import Http

AUDIENCE = "urn:federation:MicrosoftOnline"


@dataclass(frozen=True)
class Realm:
    """What the authority says about the domain of a user name.

    Attributes:
        federated: whether another server checks the password; ``None`` if the domain is unknown.
        metadata_url: that server's WS-MetadataExchange address, or ``""``.
        active_url: its endpoint for passwords, or ``""``.
        audience: for which the assertion is requested.
    """

    federated: bool | None
    metadata_url: str = ""
    active_url: str = ""
    audience: str = AUDIENCE


MANAGED = Realm(federated=False)


def discover(http: Http, authority: Authority, username: str) -> Realm | None:
    """The realm of a user name; ``None`` if the authority has no user realm discovery (404).

    Raises ``AuthorityUnreachable``, and its ``realm_discovery_failed`` for an unusable response.
    """
    url = f"https://{urlsplit(authority.url).netloc}/common/UserRealm/{quote(username, safe='@')}"
    try:
        response = http.get(
            url, params={"api-version": "1.0"}, headers={"Accept": "application/json"}
        )
    except AuthorityUnreachable as error:
        if error.code == "http_404":
            return None
        raise
    if response.status_code == 404:
        return None
    told = json_in(response)
    if not response.ok or not isinstance(told, dict):
        raise _failed(f"HTTP {response.status_code}")
    return _read(told)


def _read(told: Mapping[str, Any]) -> Realm:
    match text_in(told, "account_type").lower():
        case "federated":
            return Realm(
                federated=True,
                metadata_url=text_in(told, "federation_metadata_url"),
                active_url=text_in(told, "federation_active_auth_url"),
                audience=text_in(told, "cloud_audience_urn") or AUDIENCE,
            )
        case "managed":
            return MANAGED
        case "unknown":
            return Realm(federated=None)
    raise _failed("account_type is missing")


def _failed(why: str) -> Exception:
    return error_from({"error": "realm_discovery_failed", "error_description": why})
