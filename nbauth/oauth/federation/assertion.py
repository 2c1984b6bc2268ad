"""Gets the SAML assertion of a federated user from the organisation's server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from nbauth.core.errors import AuthorityUnreachable, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.oauth import json_body
from nbauth.oauth.answered import host_of, not_https, require_secure
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.federation import wstrust
from nbauth.oauth.federation.metadata_exchange import Endpoint, Kind, Version, endpoint_in, is_safe
from nbauth.oauth.federation.negotiate import Negotiation
from nbauth.oauth.federation.realm import Realm
from nbauth.oauth.federation.wstrust import Assertion
from nbauth.oauth.federation.xml_document import Document, NotXml, parse
from nbauth.oauth.http import Http


def by_password(http: Http, realm: Realm, username: str, password: SecretStr) -> Assertion:
    """The assertion for a user name and a password. Raises the errors of ``error_catalogue``."""
    endpoint = _endpoint(http, realm, Kind.USERNAME)
    body = wstrust.request(endpoint, realm.audience, username, password)
    response = _post(http, endpoint, body)
    return wstrust.assertion_in(_document(response), password)


def by_kerberos(http: Http, realm: Realm) -> Assertion:
    """The assertion for the ticket of the person who is signed in to Kerberos."""
    endpoint = _endpoint(http, realm, Kind.WINDOWS)
    negotiation = Negotiation(endpoint.address)
    body = wstrust.request(endpoint, realm.audience)
    response = _post(http, endpoint, body, Authorization=negotiation.header())
    if response.status_code in (401, 403):
        raise error_from(
            {"error": "kerberos_refused", "error_description": host_of(endpoint.address)},
            response.status_code,
        )
    negotiation.check(response)
    return wstrust.assertion_in(_document(response))


def _endpoint(http: Http, realm: Realm, kind: Kind) -> Endpoint:
    found = None
    named = realm.metadata_url or realm.active_url
    if named and not is_safe(named):
        require_secure(named)
        raise not_https(named)
    if realm.metadata_url:
        response = http.request("GET", realm.metadata_url, headers={"Accept": "*/*"}, read=_read)
        found = endpoint_in(_document(response).root, kind)
    elif kind is Kind.USERNAME and realm.active_url:
        path = urlsplit(realm.active_url).path.lower()
        version = Version.V13 if "/trust/13/" in path else Version.V2005
        found = Endpoint(kind, version, realm.active_url)
    if found is None:
        where = host_of(realm.metadata_url) if realm.metadata_url else ""
        raise error_from({"error": "no_wstrust_endpoint", "error_description": where})
    return found


def _post(http: Http, endpoint: Endpoint, body: bytes, **headers: str) -> requests.Response:
    action = endpoint.version.action
    return http.request(
        "POST",
        endpoint.address,
        data=body,
        headers={
            "Content-Type": "application/soap+xml; charset=utf-8",
            "SOAPAction": action,
            **headers,
        },
        read=_read,
    )


def _read(response: Any) -> None:
    """Read a streamed response with its limits; a SOAP fault has status 500."""
    response._content = json_body.body_of(response)
    response._content_consumed = True


def _document(response: requests.Response) -> Document:
    body, status = response.content, response.status_code
    try:
        return parse(body)
    except NotXml as error:
        raise _unusable(response, status, body, error) from None


def _unusable(response: requests.Response, status: int, body: bytes, error: NotXml) -> NbAuthError:
    title = json_body.title_of(body)
    page = f', the page "{title}"' if title else ""
    if status >= 400:
        return AuthorityUnreachable(
            f"{host_of(response.url)} returned HTTP {status}{page}.", code=f"http_{status}"
        )
    return wstrust.not_understood(f"{host_of(response.url)} sent {error}{page}")
