"""Storage that may be public, or whose URL carries its own signature.

The server behaves as Azure's documentation says: "Common REST API error codes", "Authorize with
Microsoft Entra ID" and "Configure anonymous read access".
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
import requests
import trustme

from nbauth.core.errors import InteractionRequired, SignInCancelled
from nbauth.kernel.calls import refusals, storage
from nbauth.kernel.calls.refusals import PASS_ON
from nbauth.kernel.calls.storage import is_signed, is_storage
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal
from tests.harness.certificates import Certificates
from tests.kernel.conftest import Bench, until
from tests.oauth.servers import Seen, Server, reply

ACCOUNT = "acct.blob.core.windows.net"
BLOB = f"https://{ACCOUNT}/public/data.csv"
PRIVATE = f"https://{ACCOUNT}/private/data.csv"
API = "api.example"
SAS = "sv=2024-11-04&se=2030-01-01T00%3A00%3A00Z&sr=b&sp=r&sig=a%2Fb%3D"
DENIED = {  # responses to requests without a token
    "not there": reply(404, "", x_ms_error_code="ResourceNotFound"),
    "account closed": reply(409, "", x_ms_error_code="PublicAccessNotPermitted"),
    "challenge": reply(401, "", WWW_Authenticate="Bearer resource_id=https://storage.azure.com"),
    "401": reply(401, "", x_ms_error_code="NoAuthenticationInformation"),
    "403": reply(403, "", x_ms_error_code="AuthenticationFailed"),
    "403 challenge": reply(403, "", WWW_Authenticate="Bearer authorization_uri=x"),
}


class Azure:
    """One storage account and another listed host, both on one local port."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.denied = DENIED["not there"]
        server.answer = self.answer

    def answer(self, seen: Seen) -> bytes:
        if seen.headers["host"].startswith(API):
            return reply(302, "", Location=BLOB if seen.target == "/to" else f"{BLOB}?{SAS}")
        signed, token = "sig=" in seen.target, seen.headers.get("authorization")
        if signed and token:
            return reply(403, "", x_ms_error_code="AuthenticationFailed")
        if token is not None and not token.startswith("Bearer "):
            return reply(200, "own")
        if "/missing" in seen.target:
            return reply(404, "", x_ms_error_code="BlobNotFound")
        if (
            signed
            or token
            or (seen.target.startswith("/public") and seen.method in ("GET", "HEAD"))
        ):
            return reply(200, "" if seen.method == "HEAD" else "data")
        return self.denied

    @property
    def sent(self) -> list[tuple[str, str, bool]]:
        """Each request: method, path, whether it had a token."""
        return [
            (one.method, one.target, one.headers.get("authorization", "").startswith("Bearer "))
            for one in self.server.seen
        ]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority = trustme.CA()
    made = authority.issue_cert(ACCOUNT, API)
    paths = Certificates(tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem")
    authority.cert_pem.write_to_path(str(paths.ca_file))
    made.cert_chain_pems[0].write_to_path(str(paths.cert_file))
    made.private_key_pem.write_to_path(str(paths.key_file))
    return paths


@pytest.fixture
def azure(
    bench: Bench, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Azure]:
    real = socket.getaddrinfo
    with Server(certificates) as server:

        def here(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
            if host in (ACCOUNT, API, ACCOUNT.encode(), API.encode()):
                host, port = "127.0.0.1", server.port
            return real(host, port, *rest, **options)

        monkeypatch.setattr(socket, "getaddrinfo", here)
        bench.session.configure(
            hosts={ACCOUNT: ["read"], API: ["read"]},
            verify=str(certificates.ca_file),
            refresh_ahead=False,
        )
        yield Azure(server)


class ToPort(httpcore.AnyIOBackend):
    """Connects to this machine's port, whatever host and port the URL has."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def connect_tcp(self, host: str, port: int, *rest: Any, **options: Any) -> Any:
        return await super().connect_tcp("127.0.0.1", self._port, *rest, **options)


class Caller:
    """Calls in each way in which nbauth adds tokens."""

    def __init__(self, bench: Bench, certificates: Certificates, port: int) -> None:
        self.bench = bench
        self.port = port
        self.ca = str(certificates.ca_file)

    def __call__(self, how: str, method: str, url: str, **options: Any) -> Any:
        if how == "session":
            return self.bench.session.authorised_session().request(method, url, **options)
        auth = self.bench.session.authorise()
        if how == "requests":
            return requests.request(method, url, auth=auth, verify=self.ca, **options)
        context = ssl.create_default_context(cafile=self.ca)
        if how == "httpx":
            with httpx.Client(verify=context, auth=auth, follow_redirects=True) as client:
                return client.request(method, url, **options)

        async def ask() -> Any:
            transport = httpx.AsyncHTTPTransport(verify=context)
            transport._pool = httpcore.AsyncConnectionPool(
                ssl_context=context, network_backend=ToPort(self.port)
            )
            async with httpx.AsyncClient(
                transport=transport, auth=auth, follow_redirects=True
            ) as one:
                return await one.request(method, url, **options)

        return asyncio.run(ask())


@pytest.fixture
def call(bench: Bench, certificates: Certificates, azure: Azure) -> Caller:
    return Caller(bench, certificates, azure.server.port)


WAYS = ["session", "requests", "httpx", "httpx_async"]


def asked(bench: Bench) -> int:
    """The number of times a person was asked to sign in."""
    return bench.engine.count("start_device")


# ── requests with their own authorization ───────────────────────────────────────────────────


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_signed_url_gets_no_token(
    bench: Bench, azure: Azure, call: Caller, how: str, signed_in: bool, method: str
) -> None:
    """Azure refuses a request that has both."""
    if signed_in:
        bench.sign_in("read")
    assert call(how, method, f"{PRIVATE}?{SAS}").status_code == 200
    assert azure.sent == [(method, f"/private/data.csv?{SAS}", False)]
    assert asked(bench) == 0


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("signed_in", [True, False])
def test_a_requests_own_authorization_is_kept(
    bench: Bench, azure: Azure, call: Caller, how: str, signed_in: bool
) -> None:
    if signed_in:
        bench.sign_in("read")
    answer = call(how, "GET", PRIVATE, headers={"Authorization": "SharedKey acct:sig"})
    assert answer.text == "own"
    assert asked(bench) == 0


def test_a_redirect_to_a_signed_url_carries_no_token(
    bench: Bench, azure: Azure, call: Caller
) -> None:
    """As in downloads of files from Graph or of data sets."""
    bench.sign_in("read")
    assert call("session", "GET", f"https://{API}/signed").text == "data"
    assert [token for _, _, token in azure.sent] == [True, False]


@pytest.mark.parametrize("how", WAYS)
def test_names_of_a_signature_in_capitals_are_a_signature(
    bench: Bench, azure: Azure, call: Caller, how: str
) -> None:
    bench.session.login("read")
    call(how, "GET", f"{BLOB}?SV=1&SIG=x")
    assert [token for _, _, token in azure.sent] == [False]


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        (f"{BLOB}?{SAS}", True),
        (f"{BLOB}?sig=x&sv=1", True),
        (f"{BLOB}?si=policy&sig=x", True),
        (f"{BLOB}?SV=1&SIG=x", True),
        (f"https://a.queue.core.usgovcloudapi.net/q?{SAS}", True),
        (f"https://a.dfs.core.chinacloudapi.cn/q?{SAS}", True),
        (f"{BLOB}?sig=x", False),
        (f"{BLOB}?sig=&sv=1", False),
        (f"{BLOB}?sv=1", False),
        (f"{BLOB}?design=x&sv=1", False),
        (f"{BLOB}#?{SAS}", False),
        (f"{BLOB}/{SAS}", False),
        (f"https://graph.microsoft.com/me?{SAS}", False),
        (f"https://api.example/me?{SAS}", False),
        (f"https://kv.vault.azure.net/me?{SAS}", False),
        (f"https://acct.blob.core.windows.net.evil.example/?{SAS}", False),
    ],
)
def test_only_a_signature_of_storage_counts(url: str, signed: bool) -> None:
    """Elsewhere ``sig`` has no meaning, and the token is sent."""
    assert is_signed(url) is signed


def test_storage_hosts_are_the_built_in_ones() -> None:
    for kind in ("blob", "dfs", "queue", "table", "file"):
        assert is_storage(f"https://acct.{kind}.core.windows.net/x")
    for other in ("core.windows.net", "a.b.blob.core.windows.net", "blob.core.windows.net", "x"):
        assert not is_storage(f"https://{other}/x")


# ── public data ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("attended", [True, False])
def test_a_public_blob_is_read_with_nobody_signed_in(
    bench: Bench, azure: Azure, call: Caller, method: str, attended: bool
) -> None:
    bench.screen.is_attended = attended
    assert call("session", method, BLOB).status_code == 200
    assert azure.sent == [(method, "/public/data.csv", False)]
    assert asked(bench) == 0


@pytest.mark.parametrize("why", DENIED)
def test_a_response_that_asks_for_a_token_leads_to_one_sign_in_and_one_repetition(
    bench: Bench, azure: Azure, call: Caller, why: str
) -> None:
    azure.denied = DENIED[why]
    answer = call("session", "GET", PRIVATE)
    assert answer.text == "data"
    assert [one.status_code for one in answer.history] == [int(DENIED[why].split()[1])]
    assert [token for _, _, token in azure.sent] == [False, True]
    assert asked(bench) == 1
    assert call("session", "GET", PRIVATE).text == "data"
    assert [token for _, _, token in azure.sent] == [False, True, True]
    assert asked(bench) == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(404, "", x_ms_error_code="BlobNotFound"),
        reply(404, ""),
        reply(409, "", x_ms_error_code="ContainerBeingDeleted"),
        reply(403, "", x_ms_error_code="AuthorizationFailure"),  # the account's firewall
        reply(400, "", x_ms_error_code="ResourceNotFound"),
        reply(503, ""),
        reply(200, "data"),
    ],
)
def test_any_other_response_is_passed_on(
    bench: Bench, azure: Azure, call: Caller, answer: bytes
) -> None:
    azure.server.answer = answer
    assert call("session", "GET", PRIVATE).status_code == int(answer.split()[1])
    assert len(azure.sent) == 1
    assert asked(bench) == 0


def test_a_repeated_demand_for_a_token_is_passed_on(
    bench: Bench, azure: Azure, call: Caller
) -> None:
    azure.server.answer = DENIED["401"]
    assert call("session", "GET", PRIVATE).status_code == 401
    assert [token for _, _, token in azure.sent] == [False, True]


def test_if_nobody_can_be_asked_the_error_says_so(bench: Bench, azure: Azure, call: Caller) -> None:
    bench.screen.is_attended = False
    with pytest.raises(InteractionRequired, match="Nobody can be asked here"):
        call("session", "GET", PRIVATE)
    assert [token for _, _, token in azure.sent] == [False]


def test_a_cancelled_sign_in_is_raised(bench: Bench, azure: Azure, call: Caller) -> None:
    bench.engine.will("poll_device", refusal("access_denied"))
    with pytest.raises(Exception, match="access_denied") as caught:
        call("session", "GET", PRIVATE)
    assert not isinstance(caught.value, SignInCancelled)
    assert [token for _, _, token in azure.sent] == [False]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_large_private_blob_is_streamed_after_the_sign_in(
    bench: Bench, azure: Azure, call: Caller, streamed: bool
) -> None:
    with call("session", "GET", PRIVATE, stream=streamed) as answer:
        assert b"".join(answer.iter_content(2)) == b"data"


# ── somebody is signed in ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", WAYS)
def test_a_signed_in_account_sends_its_token(
    bench: Bench, azure: Azure, call: Caller, how: str
) -> None:
    bench.sign_in("read")
    assert call(how, "GET", BLOB).text == "data"
    assert azure.sent == [("GET", "/public/data.csv", True)]


def test_a_refreshed_token_is_sent(bench: Bench, azure: Azure, call: Caller) -> None:
    bench.sign_in("read")
    bench.clock.advance(4000)
    assert call("session", "GET", BLOB).text == "data"
    assert azure.sent == [("GET", "/public/data.csv", True)]
    assert bench.refreshes == 1


def test_if_a_refresh_needs_a_person_the_request_has_no_token(
    bench: Bench, azure: Azure, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the provider is not contacted again for each blob."""
    clock = FakeClock()
    monkeypatch.setattr(refusals, "time", clock)
    bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.will("refresh", *[refusal("consent_required")] * 9)
    session = bench.session.authorised_session()
    for _ in range(5):
        assert session.get(BLOB).text == "data"
    assert bench.refreshes == 1
    clock.advance(PASS_ON + 1)
    assert session.get(BLOB).text == "data"
    assert bench.refreshes == 2
    assert {token for _, _, token in azure.sent} == {False}
    assert asked(bench) == 0


def test_a_session_from_before_the_sign_in_sends_its_token(bench: Bench, azure: Azure) -> None:
    session = bench.session.authorised_session()
    assert session.get(BLOB).text == "data"
    bench.sign_in("read")
    assert session.get(BLOB).text == "data"
    assert [token for _, _, token in azure.sent] == [False, True]


def test_a_sign_in_in_progress_is_not_waited_for(bench: Bench, azure: Azure) -> None:
    gate = bench.engine.hold("poll_device")
    pending = bench.session.login("read", background=True)
    until(lambda: pending.user_code)
    assert bench.session.authorised_session().get(BLOB).text == "data"
    assert pending.state == "waiting"
    gate.open()
    pending.wait(5)


# ── requests that always need a token ───────────────────────────────────────────────────────


def parts() -> Iterator[bytes]:
    yield b"da"
    yield b"ta"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
@pytest.mark.parametrize("body", [None, b"data", "stream"])
def test_an_upload_gets_its_token_first(
    bench: Bench, azure: Azure, call: Caller, method: str, body: Any
) -> None:
    """Nobody may write to storage anonymously, and a stream can be sent only once."""
    data = parts() if body == "stream" else body
    assert call("session", method, PRIVATE, data=data).status_code == 200
    assert azure.sent == [(method, "/private/data.csv", True)]
    assert azure.server.seen[0].body == (b"" if body is None else b"data")
    assert asked(bench) == 1


@pytest.mark.parametrize("attended", [True, False])
def test_an_upload_without_a_token_is_not_started(
    bench: Bench, azure: Azure, call: Caller, attended: bool
) -> None:
    bench.screen.is_attended = attended
    bench.engine.will("poll_device", refusal("access_denied"))
    with pytest.raises(Exception, match=r"access_denied|Nobody can be asked"):
        call("session", "PUT", PRIVATE, data=parts())
    assert azure.sent == []


def test_a_reading_request_with_a_body_has_its_token_first(
    bench: Bench, azure: Azure, call: Caller
) -> None:
    assert call("session", "GET", BLOB, data=parts()).status_code == 200
    assert [token for _, _, token in azure.sent] == [True]


@pytest.mark.parametrize("how", ["requests", "httpx", "httpx_async"])
def test_an_explicit_auth_always_sends_a_token(
    bench: Bench, azure: Azure, call: Caller, how: str
) -> None:
    assert call(how, "GET", BLOB).text == "data"
    assert azure.sent == [("GET", "/public/data.csv", True)]
    assert asked(bench) == 1


def test_an_explicit_auth_in_a_sessions_call_always_sends_a_token(
    bench: Bench, azure: Azure
) -> None:
    session = bench.session.authorised_session()
    assert session.get(BLOB, auth=bench.session.authorise()).text == "data"
    assert [token for _, _, token in azure.sent] == [True]


def test_any_other_listed_host_has_its_token_first(
    bench: Bench, azure: Azure, call: Caller
) -> None:
    """So does storage after a redirect from there, since the token then exists."""
    assert call("session", "GET", f"https://{API}/to").text == "data"
    assert [token for _, _, token in azure.sent] == [True, True]
    assert asked(bench) == 1


def test_each_suffix_has_what_is_searched_for_first() -> None:
    assert all(".core." in suffix for suffix in storage.SUFFIXES)
