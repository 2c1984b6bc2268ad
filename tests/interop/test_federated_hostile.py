"""Hostile and broken responses of the server of a federated user."""

from __future__ import annotations

import gzip

import pytest

from nbauth.core.errors import AuthorityUnreachable
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.engines.token_requests import IntegratedWindows
from tests.harness.federation_server import FederationServer
from tests.harness.panva import Panva
from tests.interop.federated import (
    BY_PASSWORD,
    MEX,
    USERNAME,
    engine,
    metadata_of,
    refused,
    server,
)
from tests.oauth.servers import reply

__all__ = ["engine", "server"]

LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><a>&b;</a>'
OUTSIDE = '<!DOCTYPE a SYSTEM "https://localhost:1/x.dtd"><a/>'
HOSTILE = {
    "entities": LAUGHS,
    "DOCTYPE": OUTSIDE,
    "deep": "<a>" * 100_000,
    "wide": f"<a>{'<b/>' * 30_000}</a>",
    "JSON": '{"a": 1}',
    "HTML": "<html><title>Sign in<br></html>",
    "empty": "",
    "no UTF-8": "<a>\udcff</a>",
    "another message": "<a/>",
}


@pytest.mark.parametrize("path", [MEX, USERNAME])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents(
    engine: MicrosoftEngine, server: FederationServer, panva: Panva, name: str, path: str
) -> None:
    body = HOSTILE[name].encode("utf-8", "surrogateescape")
    server.answers[path] = reply(200, body, content_type="application/soap+xml")
    error = refused(engine, BY_PASSWORD)
    expected = {"wstrust_not_understood"}
    if (name, path) == ("another message", MEX):
        expected = {"no_wstrust_endpoint"}
    assert {error.code} == expected
    assert panva.token_requests() == 0


@pytest.mark.parametrize("path", [MEX, USERNAME])
def test_a_huge_document(engine: MicrosoftEngine, server: FederationServer, path: str) -> None:
    server.answers[path] = reply(200, "<a>" + " " * 600_000 + "</a>")
    assert refused(engine, BY_PASSWORD).code == "too_large"


@pytest.mark.parametrize("path", [MEX, USERNAME])
def test_a_document_that_is_large_when_decompressed(
    engine: MicrosoftEngine, server: FederationServer, path: str
) -> None:
    body = gzip.compress(b"<a>" + b" " * 2_000_000 + b"</a>")
    server.answers[path] = reply(200, body, content_encoding="gzip")
    assert refused(engine, BY_PASSWORD).code == "too_large"


@pytest.mark.parametrize("where", ["http://localhost:1/x", "https://127.0.0.1:1/x"])
@pytest.mark.parametrize("path", [MEX, USERNAME])
def test_redirects_to_another_origin(
    engine: MicrosoftEngine, server: FederationServer, path: str, where: str
) -> None:
    server.answers[path] = reply(307, "", location=where)
    error = refused(engine, BY_PASSWORD)
    assert isinstance(error, AuthorityUnreachable)
    assert error.code == "redirected"


def test_a_posted_password_follows_no_redirect(
    engine: MicrosoftEngine, server: FederationServer
) -> None:
    server.answers[USERNAME] = reply(307, "", location="/elsewhere")
    assert refused(engine, BY_PASSWORD).code == "redirected"
    assert server.paths() == [MEX, USERNAME]


def test_an_endpoint_without_tls(engine: MicrosoftEngine, server: FederationServer) -> None:
    text = metadata_of(server).replace("https://localhost", "http://fs.example")
    server.answers[MEX] = reply(200, text)
    for wanted in (BY_PASSWORD, IntegratedWindows("ada@example.org")):
        assert refused(engine, wanted).code == "no_wstrust_endpoint"


def test_metadata_without_tls(
    engine: MicrosoftEngine, server: FederationServer, panva: Panva
) -> None:
    panva.control(realm={**server.realm, "federation_metadata_url": "http://fs.example/mex"})
    assert refused(engine, BY_PASSWORD).code == "not_https"


@pytest.mark.parametrize("name", ["federation_metadata_url", "federation_active_auth_url"])
@pytest.mark.parametrize(
    "address",
    ["http://localhost:1/adfs", "https://localhost:1@fs.example/", "https://fs.example\\@x/",
     "https://fs.example/\r\nX: y", "//fs.example/mex", "file:///etc/passwd", "https://"],
)  # fmt: skip
def test_an_address_in_the_realm_that_no_password_may_go_to(
    engine: MicrosoftEngine, server: FederationServer, panva: Panva, name: str, address: str
) -> None:
    realm = {**server.realm, "federation_metadata_url": "", name: address}
    panva.control(realm=realm)
    assert refused(engine, BY_PASSWORD).code in {"not_https", "bad_address"}
    assert server.paths() == []
    assert panva.token_requests() == 0


def test_a_failure_of_the_server(engine: MicrosoftEngine, server: FederationServer) -> None:
    server.answers[USERNAME] = reply(503, "<html><title>Down</title>")
    error = refused(engine, BY_PASSWORD)
    assert isinstance(error, AuthorityUnreachable)
    assert error.code == "http_503"
