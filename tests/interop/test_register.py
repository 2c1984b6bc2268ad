"""The client metadata of ``nbauth register`` at a real registration endpoint (RFC 7591)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from nbauth.cli import main
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.certificates import Certificates
from tests.harness.panva import Panva
from tests.interop.peers import device_shown, new_session
from tests.interop.scripted_browser import ScriptedBrowser
from tests.test_cli import no_settings as no_settings


def document(capsys: pytest.CaptureFixture[str], panva: Panva, *arguments: str) -> dict[str, Any]:
    assert main(["register", "--authority", panva.issuer, *arguments]) == 0
    out, said = capsys.readouterr()
    assert "registration_endpoint" in said
    made: dict[str, Any] = json.loads(out)
    return made


def registered(panva: Panva, wanted: dict[str, Any]) -> dict[str, Any]:
    with requests.Session() as web:
        web.trust_env = False
        metadata = web.get(
            f"{panva.issuer}/.well-known/openid-configuration", verify=panva.ca_file, timeout=10
        ).json()
        answer = web.post(
            metadata["registration_endpoint"], json=wanted, verify=panva.ca_file, timeout=10
        )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    for name, value in wanted.items():
        assert made[name] == value, name
    return made


def test_a_public_client_signs_in_by_browser_and_device_code(
    capsys: pytest.CaptureFixture[str],
    panva: Panva,
    scripted: ScriptedBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NBAUTH_SCOPES", "read")
    hub = ("--flow", "callback", "--hub", "https://hub.example")
    wanted = document(capsys, panva, "--flow", "browser", "--flow", "device", *hub)
    client = registered(panva, wanted)
    assert "client_secret" not in client
    session = new_session(
        authority=panva.issuer, client_id=client["client_id"], verify=panva.ca_file
    )
    assert session.login("read", web_ui=scripted).username == "ada"
    session.logout()
    sign_in = session.login("read", flow="device", background=True)
    assert isinstance(sign_in, SignIn)
    ScriptedBrowser(panva.ca_file).approve(*device_shown(sign_in))
    assert sign_in.wait(10).username == "ada"
    assert session.acquire("read", force_refresh=True).source == "refresh"


@pytest.mark.parametrize("with_certificate", [False, True])
def test_an_application_without_a_user(
    capsys: pytest.CaptureFixture[str],
    panva: Panva,
    certificates: Certificates,
    tmp_path: Path,
    with_certificate: bool,
) -> None:
    both = tmp_path / "both.pem"
    texts = [Path(name).read_text() for name in (certificates.key_file, certificates.cert_file)]
    both.write_text("".join(texts))
    more = ("--certificate", str(both)) if with_certificate else ()
    wanted = document(capsys, panva, "--flow", "app", *more)
    assert "PRIVATE" not in json.dumps(wanted)
    assert "d" not in (wanted.get("jwks") or {"keys": [{}]})["keys"][0]
    client = registered(panva, wanted)
    assert client["redirect_uris"] == client["response_types"] == []
    assert ("client_secret" in client) is not with_certificate
