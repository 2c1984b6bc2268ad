"""az and azd as identities: what they are asked, what their answers mean, and how they are run."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    AzureCliCredential,
    AzureDeveloperCliCredential,
    CredentialUnavailableError,
)

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    TokenError,
)
from nbauth.oauth.identities import Identity, IdentityToken, azure_developer_cli, tool
from nbauth.oauth.identities.azure_cli import AzureCli
from nbauth.oauth.identities.azure_developer_cli import AzureDeveloperCli
from tests.harness.azure_tools import MFA, SIGNED_OUT, TENANT, TOKEN, StubTool, on_path

VAULT = ("https://vault.azure.net/.default",)
KINDS: dict[str, tuple[Callable[[], Identity], Callable[[], Any]]] = {
    "az": (AzureCli, AzureCliCredential),
    "azd": (AzureDeveloperCli, AzureDeveloperCliCredential),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> StubTool:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    return StubTool(tmp_path, kind)


@pytest.fixture
def identity(kind: str, stub: StubTool) -> Identity:
    return KINDS[kind][0]()


def get(identity: Identity, tenant: str = "", claims: str | None = None) -> IdentityToken:
    return identity.get(VAULT, tenant, claims)


def test_the_token_its_expiry_and_who_it_is(identity: Identity) -> None:
    answer = get(identity)
    assert (answer.token, answer.expires_on) == (TOKEN, 2_000_000_000)
    assert (answer.who.username, answer.who.application) == ("Ada@contoso.com", False)


def test_azure_identity_reads_the_same_output(stub: StubTool, kind: str) -> None:
    token = KINDS[kind][1]().get_token(*VAULT)
    assert token.token == TOKEN
    stub.fail(SIGNED_OUT[kind])
    with pytest.raises(CredentialUnavailableError, match="login"):
        KINDS[kind][1]().get_token(*VAULT)
    stub.fail(MFA)
    with pytest.raises(ClientAuthenticationError, match="AADSTS50076"):
        KINDS[kind][1]().get_token(*VAULT)


def test_it_is_asked_as_azure_identity_asks_it(
    identity: Identity, stub: StubTool, kind: str
) -> None:
    get(identity, TENANT)
    ours = stub.argv[-1]
    KINDS[kind][1]().get_token(*VAULT, tenant_id=TENANT)
    assert ours == stub.argv[-1]


def test_a_service_principal_is_an_application(identity: Identity, stub: StubTool) -> None:
    stub.set(user="11111111-2222-3333-4444-555555555555", type="servicePrincipal")
    assert get(identity).who.application


def test_two_accounts_have_two_ids(identity: Identity, stub: StubTool) -> None:
    first = get(identity).who
    stub.set(user="grace@contoso.com")
    assert get(identity).who.id != first.id
    stub.set(user="ADA@contoso.com")
    assert get(identity).who.id == first.id


def test_an_old_version_prints_the_local_time(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    StubTool(tmp_path, "az").set(old=True)
    assert get(AzureCli()).expires_on == 2_000_000_000


def test_it_runs_without_input_in_a_folder_of_the_system_in_the_same_environment(
    identity: Identity, stub: StubTool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AZURE_EXTRA", "kept")
    monkeypatch.chdir(tmp_path)
    get(identity)
    for call in stub.calls:
        assert (call["cwd"], call["stdin"]) == ("/", "")
        assert call["env"]["AZURE_EXTRA"] == "kept"


@pytest.mark.parametrize("tenant", ["a b", "a;b", "-v", "$(id)", "a\nb", "ü", 'a"', "%PATH%"])
def test_a_tenant_with_other_characters_runs_nothing(
    identity: Identity, stub: StubTool, tenant: str
) -> None:
    with pytest.raises(ConfigurationError, match="tenant"):
        get(identity, tenant)
    assert stub.calls == []


@pytest.mark.parametrize("scope", ["a b/.default", "-a/.default", "https://x/&calc/.default"])
def test_a_scope_with_other_characters_runs_nothing(
    identity: Identity, stub: StubTool, scope: str
) -> None:
    with pytest.raises(ConfigurationError, match="scope"):
        identity.get((scope,), "", None)
    assert stub.calls == []


def test_it_is_not_installed(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, identity: Identity
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert not identity.available()
    with pytest.raises(FlowUnavailable, match="is not installed") as caught:
        get(identity)
    assert "https://aka.ms" in caught.value.hint


def test_a_tool_in_the_current_folder_is_not_run(
    identity: Identity, stub: StubTool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "../" + tmp_path.name]))
    assert not identity.available()


def test_a_file_that_cannot_be_run(identity: Identity, kind: str, tmp_path: Path) -> None:
    (tmp_path / kind).write_text("#!/no/such/interpreter\n")
    with pytest.raises(FlowUnavailable, match="cannot be run: No such file"):
        get(identity)


def test_it_is_not_signed_in(identity: Identity, stub: StubTool, kind: str) -> None:
    stub.fail(SIGNED_OUT[kind])
    with pytest.raises(InteractionRequired, match="is not signed in") as caught:
        get(identity)
    assert caught.value.hint.endswith("az login" if kind == "az" else "azd auth login")


def test_more_proof_is_wanted(identity: Identity, stub: StubTool) -> None:
    stub.fail(MFA)
    with pytest.raises(InteractionRequired) as caught:
        get(identity)
    assert caught.value.code == "AADSTS50076"
    line = f'az login --tenant "{TENANT}" --scope "https://vault.azure.net/.default"'
    assert caught.value.hint.endswith(line)


def test_the_tenant_is_wrong(identity: Identity, stub: StubTool) -> None:
    stub.fail("ERROR: AADSTS90002: Tenant 'contoso.example' not found. Trace ID: 1\n")
    with pytest.raises(NbAuthError, match=r"contoso\.example"):
        get(identity, "contoso.example")


def test_the_network_is_down(identity: Identity, stub: StubTool) -> None:
    stub.fail(
        "ERROR: The command failed with an unexpected error.\nTraceback (most recent call last):\n"
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x'): Max retries exceeded\n"
    )
    with pytest.raises(AuthorityUnreachable):
        get(identity)


def test_azd_tells_its_errors_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    azd = StubTool(tmp_path, "azd")
    for line in (
        '{"error":"it is broken","message":"m","suggestion":"s"}',
        '{"type":"consoleMessage","data":{"message":""}}\n{"error":"it is broken"}',
        '{"type":"consoleMessage","data":{"message":"ERROR: it is broken"}}',
    ):
        azd.fail(line + "\n")
        with pytest.raises(TokenError, match="failed: it is broken"):
            get(AzureDeveloperCli())


@pytest.mark.parametrize("out", ["", "null", "[]", "not json", '{"accessToken": 5}', "{}"])
def test_what_it_prints_is_no_token(identity: Identity, stub: StubTool, out: str) -> None:
    stub.set(out=out)
    with pytest.raises(TokenError) as caught:
        get(identity)
    assert caught.value.code == "tool_not_understood"


@pytest.mark.parametrize("expires", ["soon", "", "99999999999999999999", "9" * 400])
def test_an_expiry_that_is_none(tmp_path: Path, monkeypatch: Any, expires: str) -> None:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    out = f'{{"accessToken": "a", "expires_on": "{expires}", "user": {{}}}}'
    StubTool(tmp_path, "az").set(out=out)
    if expires.isdigit():
        assert get(AzureCli()).expires_on
    else:
        with pytest.raises(TokenError):
            get(AzureCli())


@pytest.mark.timing
def test_it_takes_too_long_and_is_ended_with_its_children(
    identity: Identity, stub: StubTool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tool, "TIMEOUT", 1.5)
    stub.set(sleep=30, child=True)
    began = time.monotonic()
    with pytest.raises(AuthorityUnreachable, match=r"did not answer within 1\.5 s"):
        get(identity)
    assert time.monotonic() - began < 6
    child = int((tmp_path / "child").read_text())
    end = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the child still runs"
        time.sleep(0.02)


@pytest.mark.timing
def test_a_child_that_goes_on_does_not_delay_the_answer(
    identity: Identity, stub: StubTool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has inherited the tool's output, as the upload of telemetry may."""
    monkeypatch.setattr(tool, "TIMEOUT", 8.0)
    stub.set(child=True)
    began = time.monotonic()
    assert get(identity).token == TOKEN
    assert time.monotonic() - began < 6
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int((tmp_path / "child").read_text())).kill()


def test_no_token_is_in_an_error_or_in_the_log(
    identity: Identity, stub: StubTool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nbauth")
    get(identity)
    jwt = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"
    told = []
    for err, out in (
        ("", f'{{"accessToken": "{TOKEN}", "token": "{TOKEN}"'),
        (f'ERROR: failed with {{"accessToken": "{TOKEN}"}}', None),
        (f"ERROR: the token {jwt} is bad", TOKEN),
        (f"ERROR: the token {'x' * 90} is bad", None),
    ):
        stub.fail(err, 0 if not err else 1, out)
        with pytest.raises(NbAuthError) as caught:
            get(identity)
        told += [str(caught.value), caught.value.hint, repr(caught.value)]
    everything = " ".join([*told, caplog.text])
    for secret in (TOKEN, jwt, "x" * 90):
        assert secret not in everything
    assert TOKEN not in caplog.text


def test_a_claims_challenge(identity: Identity, stub: StubTool, kind: str) -> None:
    claims = '{"access_token": {"acrs": {"essential": true, "value": "c1"}}}'
    encoded = "eyJhY2Nlc3NfdG9rZW4iOiB7ImFjcnMiOiB7ImVzc2VudGlhbCI6IHRydWUsICJ2YWx1ZSI6ICJjMSJ9fX0="
    if kind == "azd":
        get(identity, TENANT, claims)
        assert stub.argv[-1][-2:] == ["--claims", encoded]
        return
    with pytest.raises(InteractionRequired) as caught:
        get(identity, TENANT, claims)
    assert f"--tenant {TENANT} --scope {VAULT[0]} --claims-challenge {encoded}" in caught.value.hint
    assert stub.calls == []


def test_whether_it_has_been_used_is_seen_without_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    environ = {"AZURE_CONFIG_DIR": str(tmp_path / "config")}
    assert not AzureCli().has_signed_in(environ)
    StubTool(tmp_path, "az")
    assert not AzureCli().has_signed_in(environ)
    (tmp_path / "config").mkdir()
    profile = tmp_path / "config" / "azureProfile.json"
    profile.write_text("not read")
    profile.chmod(0)
    assert AzureCli().has_signed_in(environ)


def test_an_old_azd_does_not_say_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", on_path(tmp_path))
    azd = StubTool(tmp_path, "azd")
    run = azure_developer_cli.Tool.run

    def without_status(self: tool.Tool, *arguments: str, **options: Any) -> Any:
        if arguments[:2] == ("auth", "status"):
            azd.fail('{"error":"unknown command \\"status\\" for \\"azd auth\\""}')
            try:
                return run(self, *arguments, **options)
            finally:
                azd.set(status=0, err="")
        return run(self, *arguments, **options)

    monkeypatch.setattr(azure_developer_cli.Tool, "run", without_status)
    assert get(AzureDeveloperCli()).who.username == "account of azd"
    monkeypatch.setattr(azure_developer_cli.Tool, "run", run)
    monkeypatch.setattr(tool, "TIMEOUT", 0.3)
    azd.set(sleep=5)
    with pytest.raises(AuthorityUnreachable):
        get(AzureDeveloperCli())
    assert [call[1] for call in azd.argv] == ["status", "token", "status"]
