"""`nbauth doctor` at a real provider, and at addresses without one."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pexpect
import pytest
import trustme

from nbauth import process_session
from nbauth.cli import main
from tests.harness.certificates import Certificates
from tests.harness.panva import Panva
from tests.interop.scripted_browser import ScriptedBrowser
from tests.oauth.servers import Server, reply


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("NBAUTH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("NBAUTH_CLIENT_ID", "notebooks")
    monkeypatch.setattr(process_session, "_session", None)


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    label = ""
    for line in filter(None, capsys.readouterr().out.splitlines()):
        label = line[:20].strip() or label
        found.setdefault(label, []).append(line[20:].strip())
    return found


@pytest.mark.parametrize("kind", ["oidc", "microsoft"])
def test_report_for_a_real_provider(
    panva: Panva, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.setenv("NBAUTH_VERIFY", panva.ca_file)
    authority = panva.issuer if kind == "oidc" else panva.ms_authority
    issuer = panva.issuer if kind == "oidc" else panva.ms_issuer
    assert main(["doctor", "--authority", authority]) == 0
    found = said(capsys)
    assert found["provider"][0].startswith(f"{issuer}, in ")
    assert "openid" in found["scopes offered"][0].split()
    assert "authorization_code" in found["grants offered"][0].split()
    assert found["flows offered"] == ["browser, callback, paste, device"]
    assert found["clock"] == ["the same time as the provider's"]
    assert found["CA"] == [f"{panva.ca_file} (verify, NBAUTH_VERIFY)"]
    assert "trouble" not in found
    asked = {one["endpoint"] for one in panva.requests()}
    assert asked <= {"discovery"}, "nothing was begun"


def test_offline_sends_no_request(
    panva: Panva, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBAUTH_VERIFY", panva.ca_file)
    assert main(["doctor", "--offline", "--authority", panva.issuer]) == 0
    assert "provider" not in said(capsys)
    assert panva.requests() == []


def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
    return port


def test_a_closed_port(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{closed_port()}"
    assert main(["doctor", "--authority", f"https://{address}/realm"]) == 1
    what, remedy = said(capsys)["trouble"]
    assert address in what
    assert remedy.startswith("→ ")


def test_a_path_with_no_provider(
    panva: Panva, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBAUTH_VERIFY", panva.ca_file)
    assert main(["doctor", "--authority", f"{panva.issuer}/realms/nowhere"]) == 1
    what, remedy = said(capsys)["trouble"]
    assert f"{panva.issuer}/realms/nowhere" in what
    assert "metadata_url" in remedy


def test_another_cas_file(
    panva: Panva,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("NBAUTH_VERIFY", str(other))
    assert main(["doctor", "--authority", panva.issuer]) == 1
    found = said(capsys)
    assert "certificate" in found["trouble"][0]
    assert found["CA"] == [f"{other} (verify, NBAUTH_VERIFY)"]


def test_a_flow_that_is_not_offered(
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NBAUTH_VERIFY", str(certificates.ca_file))
    with Server(certificates) as server:
        server.answer = lambda seen: (
            reply(200, f'{{"issuer": "{server.url}", "token_endpoint": "{server.url}/t",'
                       f' "authorization_endpoint": "{server.url}/a"}}')
            if seen.target.endswith("openid-configuration")
            else reply(404, "no")
        )  # fmt: skip
        monkeypatch.setenv("NBAUTH_AUTHORITY", server.url)
        assert main(["doctor", "--flow", "device"]) == 1
        what, remedy = said(capsys)["trouble"]
        assert "'device'" in what
        assert "browser" in remedy
        assert main(["doctor", "--flow", "browser"]) == 0


@pytest.mark.parametrize(
    "text",
    ["[profiles.work\n", "[profiles.work]\nclient_id = 5\n", '[profiles.work]\nflwo = "x"\n'],
)
def test_a_bad_config(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "nbauth").mkdir()
    (tmp_path / "nbauth" / "config.toml").write_text(text)
    assert main(["doctor", "--profile", "work"]) == 1
    found = said(capsys)
    assert len(found["trouble"]) == 2
    assert "provider" not in found


def test_live_in_a_terminal(panva: Panva, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person at a terminal signs in by device code; the report names nobody."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NBAUTH_VERIFY", panva.ca_file)
    monkeypatch.setenv("NBAUTH_CLIENT_ID", panva.client_id)
    monkeypatch.setenv("SSH_CONNECTION", "1")
    command = ["-m", "nbauth", "doctor", "--live", "--flow", "device"]
    command += ["--authority", panva.ms_authority]
    terminal = pexpect.spawn(
        sys.executable, command, encoding="utf-8", timeout=30, dimensions=(50, 400)
    )
    with closing(terminal):
        terminal.expect("Next: device.*ends: ")
        terminal.sendline("")
        terminal.expect(r"(https://\S+/device\S*)")
        address = terminal.match[1]
        terminal.expect(r"([A-Z0-9]{4}-[A-Z0-9]{4})")
        ScriptedBrowser(panva.ca_file).approve(address, terminal.match[1])
        terminal.expect("The report, for an issue")
        terminal.expect(pexpect.EOF)
        report = terminal.before
    assert terminal.wait() == 0, report
    assert report.count("| yes") == 5, report
    for known in ("ada", "Lovelace", panva.client_id, urlsplit(panva.ms_authority).netloc):
        assert known not in report
