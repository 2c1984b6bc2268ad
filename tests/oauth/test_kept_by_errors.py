"""No secret is in what an error keeps: the frames of its traceback, and its causes.

IPython shows both in the mode Verbose, if other code raises an error from this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Principal
from nbauth.oauth.authorities import parse
from nbauth.oauth.certificate import certificate_of
from nbauth.oauth.credentials import Certificate, assertion_in
from nbauth.oauth.engines import managed_identity
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import ManagedIdentity
from nbauth.oauth.flows import on_behalf_of
from nbauth.oauth.flows.by_identity import token_of
from nbauth.oauth.identities import Identity, IdentityToken
from nbauth.oauth.identities.azure_cli import AzureCli
from nbauth.oauth.identities.azure_developer_cli import AzureDeveloperCli
from nbauth.oauth.identities.token_credential import TokenCredentialIdentity
from nbauth.testing.engine import FakeEngine, refusal
from tests.harness.azure_tools import StubTool, on_path
from tests.harness.frames import kept_by

TENANT = "00000000-0000-0000-0000-000000000001"
ENTRA = parse(f"https://login.microsoftonline.com/{TENANT}")
OTHER = parse("https://id.example")
SECRET = "the-secret-value"
JWT = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"
VAULT = Scopes.parse(["https://vault.azure.net/.default"], microsoft=True)


def kept(call: Callable[[], object]) -> str:
    with pytest.raises(NbAuthError) as caught:
        call()
    return f"{caught.value} {caught.value.hint}" + kept_by(caught.value)


@pytest.mark.parametrize("kind", [AzureCli, AzureDeveloperCli])
@pytest.mark.parametrize(
    "out",
    [
        json.dumps({"accessToken": SECRET, "token": SECRET}),
        json.dumps({"accessToken": SECRET, "token": SECRET})[:-1],
        json.dumps([SECRET]),
        json.dumps(SECRET),
    ],
)
def test_what_a_tool_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Identity], out: str
) -> None:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    StubTool(tmp_path, "az" if kind is AzureCli else "azd").set(out=out)
    request = AuthorizationRequest(VAULT)
    assert SECRET not in kept(lambda: token_of(kind(), ENTRA, request))


@pytest.mark.parametrize("ends", [0.0, "x", None])
def test_what_a_credential_answered(ends: Any) -> None:
    class Credential:
        def get_token(self, *_: str, **__: Any) -> Any:
            class Answer:
                token, expires_on = SECRET, ends

                def __repr__(self) -> str:
                    return SECRET

            return Answer()

    identity = TokenCredentialIdentity(Credential())
    assert SECRET not in kept(lambda: token_of(identity, ENTRA, AuthorizationRequest(VAULT)))


def test_what_a_credential_raised() -> None:
    class Credential:
        def get_token(self, *_: str, **__: Any) -> Any:
            password = SECRET
            raise RuntimeError(f"{JWT} is refused") from ValueError(f"{JWT} {len(password)}")

    identity = TokenCredentialIdentity(Credential())
    shown = kept(lambda: token_of(identity, ENTRA, AuthorizationRequest(VAULT)))
    assert SECRET not in shown
    assert JWT not in shown


def test_a_token_that_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hub:
        name, detail, issuers = "hub", "", ()

        def available(self) -> bool:
            return True

        def get(self, *_: Any) -> IdentityToken:
            return IdentityToken(SECRET, None, Principal("ada", "ada"))

    assert SECRET not in repr(Hub().get())
    monkeypatch.setattr(on_behalf_of, "HUB", Hub())
    engine = FakeEngine(OTHER).will("obtain", refusal("invalid_grant", "AADSTS65001: x"))
    request = AuthorizationRequest(Scopes.parse(["read"], microsoft=False))
    assert SECRET not in kept(lambda: on_behalf_of.get(engine, request))


@pytest.mark.parametrize("text", [f"{SECRET} {SECRET}", f"{SECRET}\n\n{SECRET}", SECRET * 9000])
def test_a_file_with_an_assertion(tmp_path: Path, text: str) -> None:
    file = tmp_path / "assertion"
    file.write_text(text)
    assert SECRET not in kept(lambda: assertion_in(str(file), "AZURE_FEDERATED_TOKEN_FILE"))


@pytest.mark.parametrize("password", [None, "wrong-password"])
def test_a_certificate_and_its_password(tmp_path: Path, password: str | None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    how = BestAvailableEncryption(b"right") if password else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    (tmp_path / "key.pem").write_bytes(pem)
    read = (lambda: SecretStr(password)) if password else None
    shown = kept(lambda: certificate_of(Certificate(str(tmp_path / "key.pem"), read)))
    assert "wrong-password" not in shown
    assert pem.decode().splitlines()[1] not in shown


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": SECRET, "error": "x"},
        {"access_token": [SECRET]},
        [SECRET],
        {"error": "e", "error_description": f"{{'access_token': '{SECRET}'}}"},
    ],
)
def test_what_the_endpoint_of_managed_identities_answered(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr(
        "msal.ManagedIdentityClient.acquire_token_for_client", lambda *a, **k: answer
    )
    shown = kept(lambda: managed_identity.token_of(ManagedIdentity(), VAULT, None))
    assert SECRET not in shown


def test_the_check_finds_a_secret() -> None:
    code = compile(f"held = {SECRET!r}\nraise NbAuthError('x')", "elsewhere.py", "exec")
    assert SECRET in kept(lambda: exec(code, {"NbAuthError": NbAuthError}))
