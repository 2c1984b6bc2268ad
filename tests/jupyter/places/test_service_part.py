"""The doctor says which service identity is used where nobody can answer, and shows no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbauth.core.settings_reader import SettingsReader
from nbauth.jupyter.places.doctor import parts
from nbauth.kernel.session import Session
from nbauth.testing.screen import RecordingScreen
from tests.harness.client_keys import client_key

APPLICATION = {"AZURE_TENANT_ID": "contoso.com", "AZURE_CLIENT_ID": "job"}
SECRET = "s3cret-of-the-application"


def told(**settings: Any) -> tuple[str, tuple[str, ...]]:
    """The report without the provider's part, and the faults."""
    session = Session(SettingsReader({}), RecordingScreen())
    (part,) = parts(session, {"client_id": "person", **settings})
    return "\n".join(part.lines), part.trouble


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_none_is_named() -> None:
    said, trouble = told()
    assert "without a person    a stored sign-in; no service identity is named" in said
    assert trouble == ()


def test_an_application_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**APPLICATION, "AZURE_CLIENT_SECRET": SECRET})
    for settings in ({}, {"client_id": None}):
        said, trouble = told(**settings)
        assert "without a person    app: used where nobody can answer" in said
        assert "application job (AZURE_CLIENT_ID) in tenant contoso.com (AZURE_TENANT_ID)" in said
        assert "; AZURE_CLIENT_SECRET" in said
        assert SECRET not in said
        assert trouble == ()


def test_another_login_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    host = "login.microsoftonline.us"
    named = {"AZURE_CLIENT_SECRET": SECRET, "AZURE_AUTHORITY_HOST": host}
    set_all(monkeypatch, {**APPLICATION, **named})
    assert f"at {host} (AZURE_AUTHORITY_HOST)" in told()[0]


def test_a_certificate_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = client_key().pem(tmp_path / "c.pem", password=SECRET)
    set_all(monkeypatch, {**APPLICATION, "AZURE_CLIENT_CERTIFICATE_PATH": path})
    said, trouble = told()
    assert "; AZURE_CLIENT_CERTIFICATE_PATH" in said
    assert len(trouble) == 1, "its password is not set"
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", SECRET)
    said, trouble = told()
    assert trouble == ()
    assert SECRET not in said


def test_a_workloads_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    set_all(monkeypatch, {**APPLICATION, "AZURE_FEDERATED_TOKEN_FILE": str(file)})
    said, trouble = told()
    assert "workload-identity: used where nobody can answer" in said
    assert "cannot be read: No such file" in trouble[0]
    file.write_text(SECRET)
    said, trouble = told()
    assert (trouble, SECRET in said) == ((), False)


def test_a_part_of_an_application_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a ``client_id``, which is another fault."""
    set_all(monkeypatch, {"AZURE_CLIENT_ID": "job", "AZURE_CLIENT_SECRET": SECRET})
    for settings in ({}, {"client_id": None}):
        said, _ = told(**settings)
        assert "AZURE_CLIENT_SECRET is set, but not used" in said
        assert "AZURE_TENANT_ID is not set" in said
        assert SECRET not in said


@pytest.mark.parametrize("client_id", ["", "user-assigned"])
def test_a_managed_identity(monkeypatch: pytest.MonkeyPatch, client_id: str) -> None:
    named = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": SECRET}
    set_all(monkeypatch, {**named, "AZURE_CLIENT_ID": client_id})
    said, trouble = told()
    assert "managed-identity: used where nobody can answer" in said
    assert f"identity {client_id or 'system-assigned'}; its endpoint: IDENTITY_ENDPOINT" in said
    assert (trouble, SECRET in said) == ((), False)


def test_the_setting_flow_applies_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    settings = {"authority": "https://id.example", "client_secret_from": "environment"}
    said, trouble = told(flow="app", **settings)
    assert "app: set (this call), so it is used everywhere" in said
    assert "application person; client_secret_from" in said
    assert (trouble, SECRET in said) == ((), False)
    assert "address of Azure's machines" in told(flow="managed-identity")[0]


def test_what_to_register_for_a_web_application(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = client_key().pem(tmp_path / "c.pem")
    said, trouble = told(client_certificate=path, tenant="contoso.com")
    assert trouble == ()
    assert "as a web (confidential) client" in said
    assert "not possible: only public clients can use it" in said
    assert f"client_certificate: {path}" in said
    said, trouble = told(client_certificate=str(tmp_path / "none.pem"), tenant="contoso.com")
    assert "cannot be used: No such file" in trouble[0]
