"""The identities of Fabric, Synapse, Databricks and Colab, by the libraries they document."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from nbauth.core.errors import FlowUnavailable, InteractionRequired, TokenError
from nbauth.oauth.authorities import parse
from nbauth.oauth.flows.by_identity import UNTOLD, token_of
from nbauth.oauth.identities.colab import Colab
from nbauth.oauth.identities.databricks import Databricks
from nbauth.oauth.identities.fabric import Fabric

STORAGE = ("https://storage.azure.com/.default",)


class Answers(BaseHTTPRequestHandler):
    """A service on loopback that answers what the tests set."""

    def do_GET(self) -> None:
        self._answer({"id": "42", "userName": "ada@contoso.com"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"access_token": "google-token", "expires_in": 3600, "token_type": "Bearer"})

    def _answer(self, body: dict[str, Any]) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


# ── Fabric and Synapse: modules of their runtimes, which no package index has ───────────────


def runtime(name: str, monkeypatch: pytest.MonkeyPatch, **members: Any) -> list[str]:
    asked: list[str] = []
    module = ModuleType(name)
    module.credentials = SimpleNamespace(  # type: ignore[attr-defined]
        getToken=lambda audience: asked.append(audience) or f"token-for-{audience}"  # type: ignore[func-returns-value]
    )
    for member, value in members.items():
        setattr(module, member, value)
    monkeypatch.setitem(sys.modules, name, module)
    return asked


def test_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Fabric().available()
    context = {"userId": "u-1", "userName": "Ada"}
    asked = runtime("notebookutils", monkeypatch, runtime=SimpleNamespace(context=context))
    assert Fabric().available()
    answer = Fabric().get(STORAGE, "t", None)
    assert (answer.token, answer.expires_on) == ("token-for-storage", None)
    assert (answer.who.id, answer.who.username) == ("u-1", "Ada")
    assert asked == ["storage"]
    with pytest.raises(FlowUnavailable, match=r"no token for https://graph\.microsoft\.com"):
        Fabric().get(("https://graph.microsoft.com/.default",), "t", None)
    with pytest.raises(FlowUnavailable, match="claims"):
        Fabric().get(STORAGE, "t", "{}")


def test_synapse(monkeypatch: pytest.MonkeyPatch) -> None:
    env = SimpleNamespace(getUserId=lambda: "u-2", getUserName=lambda: "grace")
    asked = runtime("mssparkutils", monkeypatch, env=env)
    answer = Fabric().get(("https://management.azure.com//.default",), "t", None)
    assert asked == ["AzureManagement"]
    assert answer.who.username == "grace"


def test_the_runtime_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime("notebookutils", monkeypatch, runtime=SimpleNamespace(context={"userId": "u"}))
    sys.modules["notebookutils"].credentials.getToken = lambda audience: ""
    with pytest.raises(TokenError, match="returned nothing"):
        Fabric().get(STORAGE, "t", None)


def test_a_token_of_unknown_life_is_asked_for_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    from nbauth.core.scopes import Scopes
    from nbauth.oauth.engines.protocol import AuthorizationRequest

    runtime("notebookutils", monkeypatch, runtime=SimpleNamespace(context={"userId": "u"}))
    request = AuthorizationRequest(Scopes.parse(STORAGE, microsoft=True))
    authority = parse("https://login.microsoftonline.com/contoso.com")
    assert token_of(Fabric(), authority, request).expires_in == UNTOLD


# ── Databricks: its own SDK ─────────────────────────────────────────────────────────────────


@pytest.fixture
def databricks(
    service: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ThreadingHTTPServer:
    monkeypatch.setenv("DATABRICKS_HOST", address(service))
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-of-ada")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    return service


def test_databricks(databricks: ThreadingHTTPServer) -> None:
    assert Databricks().available()
    host = address(databricks)
    assert Databricks().issuers == (f"{host}/oidc", host)
    answer = Databricks().get(("all-apis",), "", None)
    assert (answer.token, answer.expires_on) == ("dapi-of-ada", None)
    assert (answer.who.id, answer.who.username) == ("42", "ada@contoso.com")
    assert databricks.seen[-1][1] == "Bearer dapi-of-ada"  # type: ignore[attr-defined]


def test_no_databricks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)
    assert not Databricks().available()
    assert Databricks().issuers == ("a Databricks workspace",)


# ── Colab: Google's library for the Application Default Credentials ─────────────────────────


@pytest.fixture
def colab(service: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file to which ``authenticate_user()`` points, with a person's credentials."""
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    file = tmp_path / "adc.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s",
            "refresh_token": "r", "token_uri": address(service)}  # fmt: skip
    file.write_text(json.dumps(user))
    return file


@pytest.mark.filterwarnings("ignore:Your application has authenticated")
def test_colab(colab: Path, monkeypatch: pytest.MonkeyPatch, service: ThreadingHTTPServer) -> None:
    from google.oauth2 import credentials

    monkeypatch.setattr(credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", address(service))
    assert Colab().available()
    answer = Colab().get(("https://www.googleapis.com/auth/drive", "openid"), "", None)
    assert answer.token == "google-token"
    assert answer.expires_on is not None
    assert not answer.who.application


def test_colab_with_a_service_account(colab: Path, service: ThreadingHTTPServer) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {"type": "service_account", "client_email": "job@p.iam.gserviceaccount.com",
               "private_key": key.decode(), "token_uri": address(service)}  # fmt: skip
    colab.write_text(json.dumps(account))
    answer = Colab().get(("https://www.googleapis.com/auth/drive",), "", None)
    assert (answer.token, answer.who.username) == ("google-token", "job@p.iam.gserviceaccount.com")
    assert answer.who.application


def test_colab_before_the_person_has_signed_in(colab: Path) -> None:
    colab.write_text('{"type": "authorized_user"}')
    with pytest.raises(InteractionRequired) as caught:
        Colab().get(("https://www.googleapis.com/auth/drive",), "", None)
    assert "auth.authenticate_user()" in caught.value.hint
