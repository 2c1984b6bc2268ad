"""Managed identities: documented endpoints that MSAL and azure-identity use too, and bad ones."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msal
import pytest
import requests

from nbauth.core.errors import (
    AuthorityUnreachable,
    FlowUnavailable,
    NbAuthError,
)
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import parse
from nbauth.oauth.engines import engine_for, managed_identity
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import ManagedIdentity
from tests.harness.certificates import Certificates
from tests.harness.identity_endpoint import SOURCES, Endpoint, running_endpoint

RESOURCE = "https://management.azure.com"
ON_REQUESTS = tuple(source for source in SOURCES if source != "service-fabric")


def obtain(client_id: str = "", resource: str = RESOURCE) -> TokenResponse:
    """A token by nbauth. The authority is not contacted."""
    engine = engine_for(parse("https://login.microsoftonline.com/contoso.com"), "")
    scopes = Scopes.parse([f"{resource}/.default"], microsoft=True)
    return engine.obtain(ManagedIdentity(client_id), AuthorizationRequest(scopes))


def by_msal(client_id: str = "") -> str:
    identity = (
        msal.UserAssignedManagedIdentity(client_id=client_id)
        if client_id
        else msal.SystemAssignedManagedIdentity()
    )
    with requests.Session() as http:
        http.trust_env = False
        client = msal.ManagedIdentityClient(identity, http_client=http)
        return str(client.acquire_token_for_client(resource=RESOURCE)["access_token"])


def by_azure_identity(endpoint: Endpoint, client_id: str = "") -> str:
    from azure.identity import ManagedIdentityCredential

    more = {"connection_verify": False} if endpoint.source == "service-fabric" else {}
    with ManagedIdentityCredential(client_id=client_id or None, **more) as credential:
        return str(credential.get_token(f"{RESOURCE}/.default").token)


@pytest.fixture
def endpoint(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Endpoint]:
    """The endpoint of a platform, and the environment of its programs."""
    source = getattr(request, "param", "vm")
    monkeypatch.setattr(  # elsewhere only root may write
        "msal.managed_identity._supported_arc_platforms_and_their_prefixes",
        {"linux": str(tmp_path)},
    )
    with running_endpoint(source, certificates, tmp_path) as made:
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        yield made


every_source = pytest.mark.parametrize("endpoint", SOURCES, indirect=True)


@every_source
def test_nbauth_msal_and_azure_identity_get_a_token(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "azure.identity._credentials.azure_arc._get_key_file_path", lambda: str(tmp_path)
    )
    ours = obtain()
    assert ours.access_token.startswith(f"{endpoint.source}::{RESOURCE}")
    assert 86000 < ours.expires_in <= 86400
    query, headers = endpoint.asked[-1]
    for theirs in (by_msal(), by_azure_identity(endpoint)):
        assert theirs.startswith(f"{endpoint.source}::{RESOURCE}")
        their_query, their_headers = endpoint.asked[-1]
        assert their_query == query
        for name in ("Metadata", "X-IDENTITY-HEADER", "Secret", "secret", "Authorization"):
            if name != "Metadata" or endpoint.source in ("vm", "arc"):
                assert their_headers.get(name) == headers.get(name), name


@pytest.mark.parametrize("endpoint", ON_REQUESTS, indirect=True)
def test_a_user_assigned_identity(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "azure.identity._credentials.azure_arc._get_key_file_path", lambda: str(tmp_path)
    )
    for token in (
        str(obtain("user-assigned").access_token),
        by_msal("user-assigned"),
        by_azure_identity(endpoint, "user-assigned"),
    ):
        assert token.startswith(f"{endpoint.source}:user-assigned:{RESOURCE}")


@pytest.mark.parametrize("endpoint", ["service-fabric"], indirect=True)
def test_no_identity_can_be_chosen_at_service_fabric(endpoint: Endpoint) -> None:
    with pytest.raises(FlowUnavailable, match="has one identity") as refused:
        obtain("user-assigned")
    assert "AZURE_CLIENT_ID" in (refused.value.hint or "")
    assert endpoint.asked == []


@pytest.mark.parametrize("endpoint", ["service-fabric"], indirect=True)
def test_service_fabrics_certificate_is_pinned(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_SERVER_THUMBPRINT", "0" * 40)
    with pytest.raises(AuthorityUnreachable, match="IDENTITY_SERVER_THUMBPRINT"):
        obtain()
    assert endpoint.asked == [], "the header is not sent"


def test_a_resource_with_two_slashes_is_kept(endpoint: Endpoint) -> None:
    obtain(resource="https://management.azure.com/")
    assert endpoint.asked[-1][0]["resource"] == "https://management.azure.com/"


def test_an_identity_that_the_machine_does_not_have(endpoint: Endpoint) -> None:
    with pytest.raises(FlowUnavailable, match="no such identity") as refused:
        obtain("unknown")
    assert refused.value.code == "no_managed_identity"
    assert "Assign a managed identity" in (refused.value.hint or "")


@pytest.mark.parametrize("endpoint", ["arc"], indirect=True)
@pytest.mark.parametrize("fault", ["missing", "large", "of another user"])
def test_arcs_key_file_cannot_be_read(
    endpoint: Endpoint, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = endpoint.folder / "challenge.key"
    if fault == "missing":
        key.unlink()
    elif fault == "large":
        key.write_text("x" * 5000)
    else:
        denied = PermissionError(13, "Permission denied", str(key))
        monkeypatch.setattr(
            "msal.managed_identity.os.stat", lambda _: (_ for _ in ()).throw(denied)
        )
    with pytest.raises(FlowUnavailable, match="no managed identity") as refused:
        obtain()
    assert len(endpoint.asked) == 1
    assert refused.value.hint


def test_no_proxy_is_used(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert obtain().access_token


# --------------------------------------------------------------------------- bad responses


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[Any], None]:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def drip(handler: BaseHTTPRequestHandler) -> None:
    """One byte at a time, for ever: no time-out between two bytes ends this."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(1000):
            handler.wfile.write(b" " * 100_000)
    except OSError:
        pass


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1)


HTML = b"<!DOCTYPE html><html><head><title>Welcome</title></head></html>"
BAD: dict[str, tuple[Callable[[Any], None], str]] = {
    "404": (status(404), "http_404"),
    "410": (status(410), "http_410"),
    "429": (status(429, b"{}"), "http_429"),
    "500": (status(500, b'{"statusCode": 500, "message": "No MSI found"}'), "http_500"),
    "503": (status(503, HTML), "http_503"),
    "html": (status(200, HTML), "not_json"),
    "empty": (status(200), "not_json"),
    "redirect": (status(302, Location="http://127.0.0.1:1/"), "redirected"),
    "drip": (drip, "no_managed_identity"),
    "flood": (flood, "too_large"),
    "hang": (hang, "no_managed_identity"),
    "list": (status(200, b"[]"), ""),
    "no token": (status(200, b"{}"), ""),
    "null token": (status(200, b'{"access_token": null}'), ""),
    "no lifetime": (status(200, b'{"access_token": "secret-token"}'), ""),
    "object token": (status(200, b'{"access_token": {}, "expires_on": []}'), ""),
}


NOT_RETRIED = ("list", "no token", "null token", "no lifetime", "object token")
"""No cached token may hide these: the endpoint responds, but not as documented."""


@pytest.mark.parametrize(
    ("endpoint", "first"),
    [*((source, True) for source in SOURCES), ("arc", False)],
    indirect=["endpoint"],
)
def test_a_bad_response_is_an_error_in_plain_words(
    endpoint: Endpoint, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bounded time; at Azure Arc also the second response, after the challenge."""
    usual = managed_identity.LONGEST
    codes = {}
    for bad, (respond, _) in BAD.items():
        if bad == "no lifetime" and endpoint.source == "vm":
            continue  # MSAL leaves the lifetime to nbauth, as of any token response

        def in_turn(
            handler: BaseHTTPRequestHandler, respond: Callable[[Any], None] = respond
        ) -> None:
            if first or handler.headers.get("Authorization"):
                respond(handler)
            else:
                realm = f"Basic realm={endpoint.folder / 'challenge.key'}"
                status(401, **{"WWW-Authenticate": realm})(handler)

        endpoint.misbehave = in_turn
        longest = (
            0.3 if bad in {"drip", "hang"} else usual
        )  # a busy machine needs more for a good one
        monkeypatch.setattr(managed_identity, "LONGEST", longest)
        began = time.monotonic()
        with pytest.raises(NbAuthError) as refused:
            obtain()
        assert time.monotonic() - began < 20, bad
        happened, todo = refused.value.lines()
        assert todo.removeprefix("→").strip(), bad
        assert "Traceback" not in happened, bad
        assert "secret-token" not in happened + todo, bad
        codes[bad] = refused.value.code
        retried = isinstance(refused.value, AuthorityUnreachable)
        assert retried == (bad not in NOT_RETRIED), (bad, happened)
    expected = {bad: code for bad, (_, code) in BAD.items() if code}
    assert {bad: codes[bad] for bad in expected} == expected


def test_nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", address)
        with pytest.raises(AuthorityUnreachable, match="did not respond") as refused:
            obtain()
    assert refused.value.code == "no_managed_identity"
    assert "AZURE_TENANT_ID" in (refused.value.hint or "")


def test_a_machine_that_is_not_in_azure_is_told_so_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The link-local address leads nowhere: packets to it are dropped."""
    connect = socket.socket.connect
    reached: list[Any] = []

    def guard(self: socket.socket, address: Any) -> None:
        reached.append(address[0])
        if address[0] == "169.254.169.254":
            wait = self.gettimeout()
            assert wait is not None
            assert wait <= 2
            raise TimeoutError("timed out")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guard)
    with pytest.raises(AuthorityUnreachable, match="not an Azure resource"):
        obtain()
    assert reached == ["169.254.169.254"], "one attempt, and nothing else"
