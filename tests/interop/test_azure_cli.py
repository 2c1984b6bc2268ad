"""The real Azure CLI, signed in as a service principal at panva's provider of Microsoft's shape."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import AuthorityUnreachable, InteractionRequired, TokenError
from nbauth.kernel.session import Session
from nbauth.oauth.identities.azure_cli import AzureCli
from tests.harness import missing
from tests.harness.azure_tools import REAL, SIGNED_OUT, on_path
from tests.harness.panva import Panva
from tests.interop.peers import new_session

GRAPH = ("https://graph.microsoft.com/.default",)
CLOUD = """[Local]
endpoint_active_directory = {base}
endpoint_active_directory_resource_id = https://management.azure.com/
endpoint_management = https://management.azure.com/
endpoint_resource_manager = https://management.azure.com/
endpoint_microsoft_graph_resource_id = https://graph.microsoft.com/
"""


def az(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REAL, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def cli(panva: Panva, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Azure CLI with a cloud of its own, whose sign-in is at the provider."""
    if not REAL.exists():
        missing("azure-cli (run `make setup`)")
    config = tmp_path / "azure"
    config.mkdir()
    base = panva.ms_authority.rpartition("/")[0]
    (config / "clouds.config").write_text(CLOUD.format(base=base))
    (config / "config").write_text("[cloud]\nname = Local\n[core]\ncollect_telemetry = no\n")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(config))
    monkeypatch.setenv("AZURE_CORE_INSTANCE_DISCOVERY", "false")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", panva.ca_file)
    monkeypatch.setenv("PATH", on_path(REAL.parent))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the files of the one sign-in of the Azure CLI, which each test copies."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def signed_in(cli: None, panva: Panva, kept: Path) -> None:
    config = os.environ["AZURE_CONFIG_DIR"]
    if not any(kept.iterdir()):
        done = az(
            *("login", "--service-principal", "--username", panva.confidential_client_id),
            *("--password", panva.client_secret, "--tenant", panva.tenant),
            *("--allow-no-subscriptions", "--skip-subscription-discovery"),
        )
        assert done.returncode == 0, done.stderr
        shutil.copytree(config, kept, dirs_exist_ok=True)
    shutil.copytree(kept, config, dirs_exist_ok=True)


@pytest.fixture
def session(panva: Panva, signed_in: None) -> Iterator[Session]:
    made = new_session(
        authority=panva.ms_authority, client_id=panva.client_id, verify=panva.ca_file
    )
    yield made
    made.rest()


def test_nobody_is_signed_in(cli: None) -> None:
    assert az("account", "show").stderr == SIGNED_OUT["az"]
    with pytest.raises(InteractionRequired, match="The Azure CLI is not signed in"):
        AzureCli().get(GRAPH, "", None)
    assert AzureCli().has_signed_in(os.environ), "its file exists after the first command"


def test_its_token_is_used_and_renewed_by_asking_it_again(session: Session, panva: Panva) -> None:
    account = session.login("User.Read", flow="azure-cli")
    assert isinstance(account, Account)
    assert (account.username, account.application) == (panva.confidential_client_id, True)
    assert account.tenant_id == panva.tenant
    result = session.acquire("User.Read")
    printed = json.loads(
        az("account", "get-access-token", "--resource", "https://graph.microsoft.com").stdout
    )
    assert str(result.access_token) == printed["accessToken"], "az keeps its token"
    assert result.expires_on == pytest.approx(printed["expires_on"], abs=2)
    assert (
        session.acquire("https://vault.azure.net/.default", force_refresh=True).account == account
    )


def test_a_run_without_a_person_uses_it_if_no_variable_names_another(session: Session) -> None:
    assert session.acquire("User.Read", interactive=False).account.application
    # "az logout" would need the authority of all organizations.
    Path(os.environ["AZURE_CONFIG_DIR"], "azureProfile.json").write_text('{"subscriptions": []}')
    session.logout()
    with pytest.raises(InteractionRequired, match="The Azure CLI is not signed in") as caught:
        session.acquire("User.Read", interactive=False)
    assert "az login" in caught.value.hint


def test_the_provider_wants_more_proof(signed_in: None, panva: Panva) -> None:
    body = {
        "error": "invalid_grant",
        "error_description": "AADSTS50076: Use multi-factor authentication. Trace ID: 1",
        "error_codes": [50076],
    }
    panva.fault("token", "json", 9, status=400, body=body)
    with pytest.raises(InteractionRequired, match="AADSTS50076") as caught:
        AzureCli().get(("https://storage.azure.com/.default",), panva.tenant, None)
    assert "az login" in caught.value.hint


@pytest.mark.parametrize("fault", ["drop", "503"])
def test_the_provider_cannot_be_reached(signed_in: None, panva: Panva, fault: str) -> None:
    panva.fault("token", fault, 9)
    with pytest.raises((AuthorityUnreachable, TokenError)) as caught:
        AzureCli().get(("https://storage.azure.com/.default",), panva.tenant, None)
    assert isinstance(caught.value, AuthorityUnreachable), caught.value
