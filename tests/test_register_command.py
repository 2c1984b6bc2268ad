"""``nbauth register``: the printed lines are run with a substitute for the Azure CLI."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from nbauth.cli import main
from nbauth.oauth.registration import FLOWS
from tests import azure_cli
from tests.harness.certificates import Certificates
from tests.harness.client_keys import client_key
from tests.test_cli import no_settings as no_settings

HUB = "https://hub.example/hub/user-redirect/nbauth/callback"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["register", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["register", *arguments]) == 1
    out, said = capsys.readouterr()
    assert out == ""
    assert len(said.splitlines()) == 2
    return said


def ran(lines: str, folder: Path) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Run the lines in bash. Gives the calls of ``az``, and the output of the lines."""
    az = folder / "az"
    az.write_text(
        f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S"
        f' {shlex.quote(azure_cli.__file__)} "$@"\n'
    )
    az.chmod(0o755)
    log = folder / "az.log"
    log.unlink(missing_ok=True)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "AZ_LOG": str(log)}
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", lines],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-800:]
    calls = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [(command, given) for command, given in calls], done.stdout


def of(calls: list[tuple[str, dict[str, Any]]], command: str) -> list[dict[str, Any]]:
    return [given for one, given in calls if one == command]


def test_a_public_client(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    calls, said = ran(printed(capsys, "--tenant", "contoso.com"), tmp_path)
    assert of(calls, "login") == [{"tenant": "contoso.com", "allow_no_subscriptions": True}]
    (made,) = of(calls, "ad app create")
    assert made["is_fallback_public_client"] == "true"
    assert made["public_client_redirect_uris"] == ["http://localhost"]
    assert made["sign_in_audience"] == "AzureADMyOrg"
    (permission,) = of(calls, "ad app permission add")
    assert permission == {
        "id": azure_cli.MADE,
        "api": azure_cli.GRAPH,
        "api_permissions": [f"{azure_cli.SCOPE}=Scope"],
    }
    assert of(calls, "ad sp create") == [{"id": azure_cli.MADE}]
    assert of(calls, "ad app credential reset") == []
    assert f"client_id = '{azure_cli.MADE}'" in said


@pytest.mark.parametrize(
    ("tenant", "audience"),
    [
        ("common", "AzureADandPersonalMicrosoftAccount"),
        ("organizations", "AzureADMultipleOrgs"),
        ("consumers", "PersonalMicrosoftAccount"),
    ],
)
def test_an_authority_of_several_tenants(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tenant: str, audience: str
) -> None:
    calls, _ = ran(printed(capsys, "--tenant", tenant), tmp_path)
    assert of(calls, "login") == []
    assert of(calls, "ad app create")[0]["sign_in_audience"] == audience


def test_every_flow_together(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, certificates: Certificates
) -> None:
    """With names that a shell would split or expand."""
    both = tmp_path / "my $HOME `cert`.pem"
    texts = [Path(name).read_text() for name in (certificates.key_file, certificates.cert_file)]
    both.write_text("".join(texts))
    subject = "repo:contoso/it's $HOME:ref:refs/heads/main"
    flows = [word for flow in FLOWS for word in ("--flow", flow)]
    options = ["--hub", "https://hub.example/", "--certificate", str(both)]
    options += ["--federated-issuer", "https://token.example", "--federated-subject", subject]
    name = '"$(touch hacked)" o\'b $x'
    lines = printed(capsys, "--tenant", "contoso.com", "--name", name, *flows, *options)
    calls, _ = ran(lines, tmp_path)
    assert of(calls, "ad app create")[0]["display_name"] == name
    assert not (tmp_path / "hacked").exists()
    addresses = of(calls, "ad app update")[0]["public_client_redirect_uris"]
    assert addresses[:2] == ["http://localhost", HUB]
    assert addresses[2] == f"ms-appx-web://Microsoft.AAD.BrokerPlugin/{azure_cli.MADE}"
    assert of(calls, "ad app update")[1]["identifier_uris"] == [f"api://{azure_cli.MADE}"]
    (reset,) = of(calls, "ad app credential reset")
    assert reset["append"] is True
    assert reset["cert"].startswith("@")
    (federated,) = of(calls, "ad app federated-credential create")
    assert json.loads(federated["parameters"]) == {
        "name": name,
        "issuer": "https://token.example",
        "subject": subject,
        "audiences": ["api://AzureADTokenExchange"],
    }
    assert of(calls, "ad app permission admin-consent") == [{"id": azure_cli.MADE}]


def test_the_profile_gives_authority_scopes_redirect_uri_and_client_id(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "nbauth").mkdir()
    (tmp_path / "nbauth" / "config.toml").write_text(
        '[profiles.work]\ntenant = "contoso.us"\ncloud = "usgov"\nclient_id = "it\'s mine"\n'
        'scopes = ["https://vault.usgovcloudapi.net/user_impersonation", "offline_access"]\n'
        'redirect_uri = "http://localhost:8400/cb"\n'
    )
    flows = ("--flow", "browser", "--flow", "workload-identity")
    calls, _ = ran(printed(capsys, "--profile", "work", *flows), tmp_path)
    assert of(calls, "cloud set") == [{"name": "AzureUSGovernment"}]
    assert of(calls, "ad app create") == []
    (changed,) = of(calls, "ad app update")
    assert changed["id"] == "it's mine"
    assert changed["public_client_redirect_uris"] == ["http://localhost:8400/cb"]
    shown = [given["id"] for given in of(calls, "ad sp show") if given.get("query")]
    assert set(shown) == {"https://vault.usgovcloudapi.net"}
    (federated,) = of(calls, "ad app federated-credential create")
    credential = json.loads(federated["parameters"])
    assert credential["audiences"] == ["api://AzureADTokenExchangeUSGov"]


def test_an_application_without_a_user_is_no_public_client(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls, _ = ran(printed(capsys, "--tenant", "contoso.com", "--flow", "app"), tmp_path)
    (made,) = of(calls, "ad app create")
    assert made["is_fallback_public_client"] == "false"
    assert "public_client_redirect_uris" not in made
    assert of(calls, "ad app permission add") == []
    assert "cert" not in of(calls, "ad app credential reset")[0]


def profile(folder: Path, *lines: str) -> None:
    (folder / "nbauth").mkdir()
    text = "\n".join(["[profiles.web]", *lines])
    (folder / "nbauth" / "config.toml").write_text(text, "utf-8")


@pytest.mark.parametrize("how", ["secret", "certificate", "assertion"])
def test_a_profile_with_a_credential_is_registered_as_a_web_application(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, certificates: Certificates, how: str
) -> None:
    """Entra refuses a credential for a redirect address of a public client (AADSTS700025)."""
    setting = {
        "secret": 'client_secret_from = "keyring"',
        "certificate": f'client_certificate = "{certificates.cert_file}"',
        "assertion": 'client_assertion_file = "/run/token"',
    }
    profile(tmp_path, 'tenant = "contoso.com"', setting[how])
    for flows in ((), ("--flow", "app")):
        calls, _ = ran(printed(capsys, "--profile", "web", *flows), tmp_path)
        (made,) = of(calls, "ad app create")
        assert made["is_fallback_public_client"] == "false"
        assert "public_client_redirect_uris" not in made
        if not flows:
            assert made["web_redirect_uris"] == ["http://localhost"]
        reset = of(calls, "ad app credential reset")
        assert len(reset) == (how != "assertion")
        assert [("cert" in one) for one in reset] == [how == "certificate"] * len(reset)


@pytest.mark.parametrize(
    ("lines", "method"),
    [
        (['client_secret_from = "keyring"'], "client_secret_basic"),
        (['client_secret_from = "keyring"', 'token_endpoint_auth_method = "client_secret_post"'],
         "client_secret_post"),
        (["client_certificate = '{pem}'"], "private_key_jwt"),
        ([], "none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flow", ["browser", "app"])
def test_client_metadata_have_the_authentication_that_the_profile_uses(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    certificates: Certificates,
    flow: str,
    lines: list[str],
    method: str,
) -> None:
    pem = tmp_path / "both.pem"
    texts = [Path(name).read_text() for name in (certificates.key_file, certificates.cert_file)]
    pem.write_text("".join(texts))
    profile(tmp_path, 'authority = "https://id.example"', *(one.format(pem=pem) for one in lines))
    made = json.loads(printed(capsys, "--profile", "web", "--flow", flow))
    if method == "none" and flow == "app":
        method = "client_secret_basic"
    assert made["token_endpoint_auth_method"] == method
    assert ("jwks" in made) == (method == "private_key_jwt")
    assert "PRIVATE" not in json.dumps(made)
    assert not made.get("jwks") or "d" not in made["jwks"]["keys"][0]


@pytest.mark.parametrize("form", ["only", "encrypted", "chain first", "pfx", "with key"])
@pytest.mark.parametrize("provider", ["microsoft", "openid"])
def test_the_right_certificate_is_registered_without_its_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str, provider: str
) -> None:
    key, path = client_key(), tmp_path / "it's a.pem"
    own, issuer = (one.public_bytes(Encoding.PEM) for one in (key.certificate, key.issuer))
    if form == "pfx":
        key.pfx(path, chain=True)
    elif form == "only":
        path.write_bytes(own)
    else:
        key.pem(path, password="a-password" if form == "encrypted" else "")
    if form == "chain first":
        path.write_bytes(issuer + path.read_bytes())
    options = ("--flow", "app", "--certificate", str(path))
    if provider == "microsoft":
        ran(printed(capsys, "--tenant", "contoso.com", *options), tmp_path)
        assert (tmp_path / "nbauth-certificate.pem").read_bytes() == own
        return
    made = json.loads(printed(capsys, "--authority", "https://id.example", *options))
    (registered,) = made["jwks"]["keys"]
    (expected,) = key.jwks["keys"]
    assert {name: registered.get(name) for name in expected} == expected


def test_a_certificate_that_is_not_here_is_read_by_the_printed_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "it's a.pem"
    options = ("--flow", "app", "--certificate", str(path))
    lines = printed(capsys, "--tenant", "contoso.com", *options)
    client_key().pem(path)
    ran(lines, tmp_path)
    assert b"PRIVATE" not in (tmp_path / "nbauth-certificate.pem").read_bytes()


@pytest.mark.parametrize("name", ["-x", "--help", "--query", "@/etc/passwd", "a=@/etc/passwd"])
def test_a_text_that_the_azure_cli_would_take_for_an_option_or_a_file_is_refused(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The Azure CLI reads the file behind ``@`` in any argument."""
    assert "Azure CLI" in refused(capsys, "--tenant", "contoso.com", f"--name={name}")
    assert "Azure CLI" in refused(capsys, "--tenant", "contoso.com", f"--client-id={name}")


def test_a_federated_subject_cannot_name_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--flow", "workload-identity", "--federated-issuer", "https://x")
    lines = printed(
        capsys, "--tenant", "contoso.com", *options, "--federated-subject", "a=@/etc/passwd"
    )
    assert "@" not in lines
    (made,) = of(ran(lines, tmp_path)[0], "ad app federated-credential create")
    assert json.loads(made["parameters"])["subject"] == "a=@/etc/passwd"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--flow", "callback"), "--hub"),
        (("--flow", "callback", "--hub", "http://hub.example"), "https address"),
        (("--flow", "callback", "--hub", "https://me:secret@hub.example"), "JupyterHub"),
        (("--flow", "managed-identity"), "browser, callback"),
        (("--certificate", "x.pem"), "--flow app"),
        (("--federated-issuer", "https://x"), "workload-identity"),
        (("--authority", "https://fs.contoso.com/adfs"), "Add-AdfsNativeClientApplication"),
        (("--authority", "https://id.example", "--provider", "microsoft"), "not an authority"),
        (("--authority", "https://id.example", "--flow", "iwa"), "only at Microsoft"),
        (("--authority", "http://id.example"), "https"),
        (("--profile", "nowhere"), "nowhere"),
        (
            ("--provider", "openid", "--flow", "app", "--certificate", "/no/such.pem"),
            "/no/such.pem",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_registered(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    said = refused(capsys, *arguments)
    assert words in said
    assert "secret" not in said


def test_client_metadata_names_where_keycloak_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    realm = "https://id.example/realms/science"
    assert main(["register", "--authority", realm, "--provider", "keycloak"]) == 0
    out, said = capsys.readouterr()
    assert json.loads(out)["redirect_uris"] == ["http://127.0.0.1"]
    assert f"{realm}/clients-registrations/openid-connect" in said
