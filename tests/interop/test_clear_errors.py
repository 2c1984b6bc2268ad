"""Errors name the fault in two lines, within a second."""

from __future__ import annotations

import socket
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
)
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import Peer, assert_plain, new_session, screen_of

pytestmark = pytest.mark.timing  # each is raised within a second


def error_of(session: Session, *scopes: str, **options: Any) -> NbAuthError:
    options = {"flow": "device", **options}
    began = time.monotonic()
    with pytest.raises(NbAuthError) as failed:
        session.login(*scopes, **options)
    assert time.monotonic() - began < 1
    assert_plain(failed.value)
    assert session.accounts() == []
    return failed.value


def base_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


# --------------------------------------------------------------------------- nothing is sent


def test_no_client_id(peer: Peer, panva: Panva) -> None:
    settings = {**peer.settings, "client_id": None}
    error = error_of(new_session(**settings), peer.first)
    assert isinstance(error, ConfigurationError)
    assert error.code == "no_client_id"
    assert "client_id" in error.hint
    assert panva.requests() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flow": "carrier-pigeon"}, ["carrier-pigeon", "browser", "device"]),
        ({"flow": "brwoser"}, ["did you mean browser"]),
        ({"prompt": "maybe"}, ["maybe"]),
        ({"claims": "{not json"}, ["claims"]),
        ({"max_age": "soon"}, ["max_age"]),
        ({"verify": False}, ["verify", "CA file"]),
        ({"verify": "/no/such/file.pem"}, ["/no/such/file.pem"]),
        ({"redirect_uri": "https://elsewhere.example/", "flow": "browser"}, ["elsewhere.example"]),
        ({"no_such_option": 1}, ["no_such_option"]),
        ({"tenant": "no tenant at all"}, ["tenant"]),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_an_invalid_option(
    session: Session, peer: Peer, panva: Panva, options: dict[str, Any], words: list[str]
) -> None:
    error = error_of(session, peer.first, **options)
    assert isinstance(error, ConfigurationError)
    for word in words:
        assert word in " ".join(error.lines())
    assert panva.requests() == []


def test_two_resources_in_one_request(panva: Panva) -> None:
    session = new_session(
        authority=panva.ms_authority, client_id=panva.client_id, verify=panva.ca_file
    )
    error = error_of(session, "User.Read", "https://management.azure.com//.default")
    assert error.code == "mixed_resources"
    assert "%token https://graph.microsoft.com/User.Read" in error.hint
    assert "%token https://management.azure.com//.default" in error.hint
    assert panva.requests() == []


def test_http(peer: Peer, panva: Panva) -> None:
    path = urlsplit(peer.settings["authority"]).path
    authority = f"http://id.example{path}"  # allowed on loopback
    error = error_of(new_session(**{**peer.settings, "authority": authority}), peer.first)
    assert isinstance(error, ConfigurationError)
    assert "https" in error.hint
    assert panva.requests() == []


def test_no_user_present(session: Session, peer: Peer, panva: Panva) -> None:
    screen_of(session).there = False
    error = error_of(session, peer.first)
    assert isinstance(error, InteractionRequired)
    assert "AZURE_CLIENT_ID" in error.hint
    assert panva.requests() == []


# --------------------------------------------------------------------------- the wrong address


@pytest.mark.parametrize("flow", ["device", "browser"])
def test_a_closed_port(peer: Peer, flow: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    authority = urlsplit(peer.settings["authority"])._replace(netloc=f"127.0.0.1:{port}").geturl()
    session = new_session(**{**peer.settings, "authority": authority})
    error = error_of(session, peer.first, flow=flow)
    assert isinstance(error, AuthorityUnreachable)
    assert f"127.0.0.1:{port}" in str(error)


def test_an_untrusted_certificate(peer: Peer) -> None:
    error = error_of(new_session(**{**peer.settings, "verify": None}), peer.first)
    assert isinstance(error, AuthorityUnreachable)
    assert error.code == "certificate"
    assert "verify" in error.hint


def test_a_port_without_tls(peer: Peer, panva: Panva) -> None:
    path = urlsplit(peer.settings["authority"]).path
    authority = panva.control_url.replace("http:", "https:") + path
    error = error_of(new_session(**{**peer.settings, "authority": authority}), peer.first)
    assert isinstance(error, AuthorityUnreachable)
    assert "certificate" not in str(error)


def test_no_provider_at_the_address(peer: Peer) -> None:
    base = base_of(peer.settings["authority"])
    path = "no/provider/here" if peer.name == "oidc" else str(uuid.uuid4())
    session = new_session(**{**peer.settings, "authority": f"{base}/{path}"})
    error = error_of(session, peer.first)
    assert isinstance(error, ConfigurationError)
    assert error.code == "no_provider"
    assert path in str(error)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("html", "not JSON"), ("503", "503"), ("429", "429"), ("drop", "cannot be reached")],
)
def test_a_page_instead_of_metadata(
    session: Session, peer: Peer, panva: Panva, kind: str, words: str
) -> None:
    places = (
        3 if (peer.name, kind) == ("oidc", "html") else 1
    )  # the two addresses of RFC 8414 are requested too
    for _ in range(places):
        panva.fault("discovery", kind)
    error = error_of(session, peer.first)
    assert isinstance(error, AuthorityUnreachable)
    assert words in str(error)


def test_an_unknown_tenant_with_entras_error(panva: Panva) -> None:
    words = "AADSTS90002: Tenant 'nowhere' not found. Trace ID: 1 Correlation ID: 2"
    body = {"error": "invalid_tenant", "error_description": words, "correlation_id": "2"}
    panva.fault("discovery", "json", status=400, body=body)
    session = new_session(
        authority=panva.ms_authority, client_id=panva.client_id, verify=panva.ca_file
    )
    error = error_of(session, "User.Read")
    assert (error.code, error.correlation_id) == ("AADSTS90002", "2")


# --------------------------------------------------------------------------- refused


def test_an_unknown_application(peer: Peer) -> None:
    session = new_session(**{**peer.settings, "client_id": "nobody-registered-this"})
    error = error_of(session, peer.first)
    assert isinstance(error, ConfigurationError)
    assert "client_id" in error.hint


def test_a_provider_without_device_codes(session: Session, peer: Peer, panva: Panva) -> None:
    document = {
        "issuer": peer.issuer,
        "authorization_endpoint": f"{peer.issuer}/auth",
        "token_endpoint": f"{peer.issuer}/token",
        "jwks_uri": f"{peer.issuer}/jwks",
    }
    panva.fault("discovery", "json", times=2, status=200, body=document)  # and RFC 8414's
    error = error_of(session, peer.first)
    assert isinstance(error, FlowUnavailable)
    assert error.suggested_flow == "browser"
