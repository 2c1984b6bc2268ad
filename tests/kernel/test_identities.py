"""Identities from outside nbauth as flows: Azure's tools, credential objects, other packages."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from nbauth.core import flow_names
from nbauth.core.account import Account
from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInCancelled,
    TokenError,
)
from nbauth.core.tokens import Principal
from nbauth.oauth.flows import flow_named
from nbauth.oauth.flows.by_identity import flow_of
from nbauth.oauth.identities import Identity, IdentityToken
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import ISSUER
from tests.harness.azure_tools import SIGNED_OUT, TENANT, TOKEN, StubTool, on_path
from tests.kernel.conftest import Bench, redirect

AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
VAULT = "https://vault.azure.net/.default"


class Answer:
    def __init__(self, token: str, expires_on: float) -> None:
        self.token, self.expires_on = token, expires_on


class Credential:
    """As azure-core's ``TokenCredential``."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.ends = 1_800_000_000.0 + 3600

    def get_token(self, *scopes: str, **options: Any) -> Answer:
        self.asked.append((scopes, options))
        return Answer(f"token-{len(self.asked)}-{id(self)}", self.ends)


class Newer(Credential):
    """As azure-core's ``SupportsTokenInfo``."""

    def get_token_info(self, *scopes: str, options: dict[str, Any] | None = None) -> Answer:
        return self.get_token(*scopes, **(options or {}))


@pytest.fixture
def microsoft(bench: Bench, clock: FakeClock, tmp_path: Path, monkeypatch: Any) -> Bench:
    """A bench at Entra where nobody is there; PATH has no tool of this machine."""
    monkeypatch.setenv("PATH", on_path(tmp_path))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setattr("nbauth.oauth.flows.by_identity.time", clock)
    bench.environ["NBAUTH_AUTHORITY"] = AUTHORITY
    bench.session.configure(refresh_ahead=False)
    bench.screen.is_attended = False
    bench.session.new_cell()
    return bench


@pytest.fixture
def az(microsoft: Bench, tmp_path: Path, clock: FakeClock) -> StubTool:
    """The Azure CLI, signed in as ada."""
    (tmp_path / "azureProfile.json").write_text("{}")
    made = StubTool(tmp_path, "az")
    made.set(expires_on=int(clock.time()) + 3600)
    return made


# ── the Azure CLI ───────────────────────────────────────────────────────────────────────────


def test_a_named_azure_cli_is_asked_once_for_each_api(microsoft: Bench, az: StubTool) -> None:
    account = microsoft.session.login("User.Read", flow="azure-cli")
    assert isinstance(account, Account)
    assert (account.username, account.application) == ("Ada@contoso.com", False)
    for _ in range(3):
        assert microsoft.read("User.Read") == TOKEN
    microsoft.read(VAULT)
    resources = [call[call.index("--resource") + 1] for call in az.argv if "--resource" in call]
    assert resources == ["https://graph.microsoft.com", "https://vault.azure.net"]
    assert all(call[-2:] == ["--tenant", TENANT] for call in az.argv if "--resource" in call)


@pytest.mark.parametrize("tenant", ["common", "organizations"])
def test_no_tenant_is_asked_for_at_an_authority_of_any_tenant(
    microsoft: Bench, az: StubTool, tenant: str
) -> None:
    microsoft.environ["NBAUTH_AUTHORITY"] = f"https://login.microsoftonline.com/{tenant}"
    microsoft.session.new_cell()
    microsoft.session.login("User.Read", flow="azure-cli")
    assert not any("--tenant" in call for call in az.argv)


def test_a_token_is_renewed_by_asking_again(
    microsoft: Bench, az: StubTool, clock: FakeClock
) -> None:
    token = microsoft.session.token("User.Read", flow="azure-cli")
    before = len(az.argv)
    clock.advance(3500)
    az.set(token="the-second", expires_on=int(clock.time()) + 7200)
    assert str(token) == "the-second"
    assert len(az.argv) == before + 2


def test_another_user_of_the_tool_is_refused(
    microsoft: Bench, az: StubTool, clock: FakeClock
) -> None:
    token = microsoft.session.token("User.Read", flow="azure-cli")
    az.set(user="grace@contoso.com", expires_on=int(clock.time()) + 7200)
    clock.advance(3700)
    with pytest.raises(TokenError, match=r"grace@contoso\.com is signed in there now") as caught:
        str(token)
    assert "%login --flow azure-cli --force" in caught.value.hint
    account = microsoft.session.login("User.Read", flow="azure-cli", force=True)
    assert isinstance(account, Account)
    assert account.username == "grace@contoso.com"


def test_a_valid_token_is_used_while_the_tool_fails(
    microsoft: Bench, az: StubTool, clock: FakeClock
) -> None:
    token = microsoft.session.token("User.Read", flow="azure-cli")
    az.fail("requests.exceptions.ConnectionError: Max retries exceeded\n")
    clock.advance(3400)
    assert str(token) == TOKEN
    clock.advance(300)
    with pytest.raises(NbAuthError, match="cannot reach"):
        str(token)


def test_nobody_there_and_no_variables_the_tool_is_used_last(
    microsoft: Bench, az: StubTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    del microsoft.environ["NBAUTH_CLIENT_ID"]
    microsoft.session.new_cell()
    assert microsoft.session.acquire("User.Read").account.username == "Ada@contoso.com"
    microsoft.session.logout()
    count = len(az.argv)
    for name, value in {"TENANT_ID": TENANT, "CLIENT_ID": "job", "CLIENT_SECRET": "s"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    assert microsoft.session.acquire("User.Read").account.username == "job"
    assert len(az.argv) == count


def test_a_person_who_is_there_is_asked_instead_of_the_tool(microsoft: Bench, az: StubTool) -> None:
    microsoft.screen.is_attended = True
    account = microsoft.session.login("User.Read", web_ui=redirect)
    assert isinstance(account, Account)
    assert account.username == "ada@example.com"
    assert az.argv == []


@pytest.mark.timing
@pytest.mark.parametrize("gone", ["az", "azureProfile.json"])
def test_without_the_tool_or_its_file_the_error_comes_at_once(
    microsoft: Bench, az: StubTool, tmp_path: Path, gone: str
) -> None:
    (tmp_path / gone).unlink()
    began = time.monotonic()
    with pytest.raises(InteractionRequired, match="Nobody can be asked here"):
        microsoft.session.acquire("User.Read")
    assert time.monotonic() - began < 1
    assert az.argv == []


def test_at_another_issuer_the_tool_is_never_asked(microsoft: Bench, az: StubTool) -> None:
    microsoft.environ["NBAUTH_AUTHORITY"] = ISSUER
    microsoft.session.new_cell()
    with pytest.raises(InteractionRequired):
        microsoft.session.acquire("read")
    with pytest.raises(ConfigurationError, match="gives tokens of Microsoft Entra ID"):
        microsoft.session.login("read", flow="azure-cli")
    assert az.argv == []


def test_it_is_not_signed_in(microsoft: Bench, az: StubTool) -> None:
    az.fail(SIGNED_OUT["az"])
    for call in (
        lambda: microsoft.session.acquire("User.Read"),
        lambda: microsoft.session.login("User.Read", flow="azure-cli"),
    ):
        with pytest.raises(InteractionRequired, match="is not signed in"):
            call()
    assert microsoft.screen.shown == []


def test_the_tool_is_never_stored(
    microsoft: Bench, az: StubTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    microsoft.session.login("User.Read", flow="azure-cli", persist="file")
    assert not [path for path in data.rglob("*") if path.is_file()]


def test_an_authorised_call_and_its_claims_challenge(microsoft: Bench, az: StubTool) -> None:
    import requests

    request = requests.Request("GET", "https://graph.microsoft.com/v1.0/me").prepare()
    auth = microsoft.session.authorise(flow="azure-cli")
    assert auth(request).headers["Authorization"] == f"Bearer {TOKEN}"
    with pytest.raises(TokenError, match="requires a new sign-in in the Azure CLI") as caught:
        microsoft.session.acquire(VAULT, flow="azure-cli", claims='{"access_token": {}}')
    assert "az login --tenant" in caught.value.hint
    assert "--claims-challenge" in caught.value.hint


@pytest.mark.timing
def test_a_sign_in_that_waits_for_the_tool_is_cancelled_at_once(
    microsoft: Bench, az: StubTool
) -> None:
    az.set(sleep=1)  # the command ends by itself
    sign_in = microsoft.session.login("User.Read", flow="azure-cli", background=True)
    assert not isinstance(sign_in, Account)
    time.sleep(0.2)
    began = time.monotonic()
    sign_in.cancel()
    with pytest.raises(SignInCancelled):
        sign_in.wait(5)
    assert time.monotonic() - began < 1


# ── a credential object ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [Credential, Newer])
def test_a_credential_is_used_without_a_flow_and_renewed(
    microsoft: Bench, clock: FakeClock, kind: type[Credential]
) -> None:
    given = kind()
    microsoft.session.configure(credential=given)
    token = microsoft.session.token(VAULT)
    assert str(token) == f"token-1-{id(given)}"
    assert given.asked == [((VAULT,), {"tenant_id": TENANT})]
    assert token.account.username == kind.__name__
    clock.advance(3700)
    given.ends += 7200
    assert str(token) == f"token-2-{id(given)}"
    microsoft.session.acquire(VAULT, claims='{"a": 1}')
    assert given.asked[-1][1]["claims"] == '{"a": 1}'


def test_another_credential_replaces_its_accounts(microsoft: Bench) -> None:
    first, second = Credential(), Credential()
    microsoft.session.configure(credential=first)
    assert microsoft.read(VAULT).endswith(str(id(first)))
    microsoft.session.configure(credential=second)
    assert microsoft.read(VAULT).endswith(str(id(second)))
    microsoft.session.configure(credential=None)
    assert microsoft.session.accounts() == []
    assert microsoft.session.settings().flow == "auto"
    with pytest.raises(InteractionRequired):
        microsoft.session.acquire(VAULT)


def test_a_flow_of_the_call_goes_first(microsoft: Bench, az: StubTool) -> None:
    given = Credential()
    microsoft.session.configure(credential=given)
    account = microsoft.session.login("User.Read", flow="azure-cli")
    assert isinstance(account, Account)
    assert account.username == "Ada@contoso.com"
    assert given.asked == []


def test_a_credential_is_in_no_repr_and_no_call(microsoft: Bench) -> None:
    class Telling(Credential):
        def __repr__(self) -> str:
            return "the-secret"

    given = Telling()
    microsoft.session.configure(credential=given)
    microsoft.session.login(VAULT)
    client = microsoft.session.client()
    records = [*microsoft.session.cache.signed_in.values()]
    shown = repr(
        [client, client.settings, records, records[0].grants, records[0].grants[0].request]
    )  # type: ignore[attr-defined]
    assert "the-secret" not in shown
    with pytest.raises(ConfigurationError, match="no option of a call"):
        microsoft.session.acquire(VAULT, credential=given)


@pytest.mark.parametrize("given", ["DefaultAzureCredential()", 5, Credential, object()])
def test_what_is_no_credential(microsoft: Bench, given: object) -> None:
    with pytest.raises(ConfigurationError, match="credential"):
        microsoft.session.configure(credential=given)
    assert microsoft.session.settings().flow == "auto"


def test_an_asynchronous_credential_is_refused(microsoft: Bench) -> None:
    class Waiting:
        async def get_token(self, *scopes: str) -> None: ...

    with pytest.raises(ConfigurationError, match="synchronous"):
        microsoft.session.configure(credential=Waiting())


def test_no_variable_and_no_file_sets_one(microsoft: Bench) -> None:
    microsoft.environ["NBAUTH_CREDENTIAL"] = "x"
    microsoft.session.new_cell()
    assert microsoft.session.settings().credential is None


def test_the_flow_needs_a_credential(microsoft: Bench) -> None:
    with pytest.raises(ConfigurationError, match="No credential is set"):
        microsoft.session.login(VAULT, flow="credential")


def test_azure_identity_itself(microsoft: Bench, az: StubTool) -> None:
    from azure.identity import AzureCliCredential

    microsoft.session.configure(credential=AzureCliCredential())
    assert microsoft.read(VAULT) == TOKEN
    az.fail(SIGNED_OUT["az"])
    with pytest.raises(TokenError, match="az login"):
        microsoft.session.acquire(VAULT, force_refresh=True)


# ── an identity of another package ──────────────────────────────────────────────────────────


class Vault:
    name = "vault"
    detail = "a test"
    issuers: Sequence[str] = ()
    here = True
    answer: Any = None

    def available(self) -> bool:
        return self.here

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or IdentityToken("from-vault", None, Principal("ada", "Ada"))


NO_CLASS = 5


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    made: dict[str, EntryPoint] = {}
    for module in ("nbauth.core.flow_names", "nbauth.core.settings_values", "nbauth.oauth.flows"):
        monkeypatch.setattr(f"{module}.added", lambda: made)
    return made


def point(name: str, what: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{what}", flow_names.IDENTITY_GROUP)


def test_an_identity_of_another_package_is_a_flow(
    bench: Bench, points: dict[str, EntryPoint]
) -> None:
    points["vault"] = point("vault", "Vault")
    bench.session.configure(refresh_ahead=False)
    account = bench.session.login("read", flow="vault")
    assert isinstance(account, Account)
    assert (account.username, account.home_account_id) == ("Ada", "vault:ada")
    assert bench.read("read") == "from-vault"


@pytest.mark.parametrize("what", ["NO_CLASS", "Absent", "Credential"])
def test_an_entry_point_that_is_no_identity(points: dict[str, EntryPoint], what: str) -> None:
    points["vault"] = point("vault", what)
    with pytest.raises(FlowUnavailable, match="cannot be used"):
        flow_named("vault")


def identity(**changes: Any) -> Identity:
    made = Vault()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("made", "error", "text"),
    [
        (identity(here=False), FlowUnavailable, "The flow vault cannot be used here"),
        (identity(issuers=("https://other.example",)), ConfigurationError, "other.example"),
        (identity(answer=ValueError("it broke")), TokenError, "gave no token: it broke"),
        (identity(answer=ValueError("eyJhbGciOi.eyJzdWIiOi.c2ln")), TokenError, "••••"),
        (identity(answer=InteractionRequired("sign in there")), InteractionRequired, "there"),
        (identity(answer=IdentityToken("", None, Principal("a", "a"))), TokenError, "no token"),
        (identity(answer=IdentityToken("t", 5.0, Principal("a", "a"))), TokenError, "expired"),
    ],
)
def test_what_an_identity_may_answer(
    bench: Bench, made: Identity, error: type[NbAuthError], text: str
) -> None:
    from nbauth.oauth.engines.protocol import AuthorizationRequest

    request = AuthorizationRequest(bench.session.client().scopes(("read",)))
    renew = flow_of(made).renew
    assert renew is not None
    with pytest.raises(error, match=text) as caught:
        renew(bench.engine, request)
    assert "eyJ" not in str(caught.value)


def test_its_token_is_masked_and_not_pickled(bench: Bench) -> None:
    from nbauth.oauth.engines.protocol import AuthorizationRequest

    request = AuthorizationRequest(bench.session.client().scopes(("read",)))
    renew = flow_of(Vault()).renew
    assert renew is not None
    response = renew(bench.engine, request)
    assert "from-vault" not in repr(response)
    with pytest.raises(TypeError):
        pickle.dumps(response)
