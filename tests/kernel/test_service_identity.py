"""Service identities: used when nobody is there, kept apart from people, never stored."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    InteractionRequired,
    NbAuthError,
    TokenError,
)
from nbauth.core.settings_reader import SettingsReader
from nbauth.jupyter.places.doctor import parts
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.no_screen import NoScreen
from nbauth.oauth.credentials import Certificate, ClientAssertion, ClientSecret
from nbauth.oauth.engines.token_requests import ClientCredentials, ManagedIdentity
from nbauth.testing.engine import FakeEngine, refusal, unreachable
from tests.kernel.conftest import Bench, redirect

TENANT = "00000000-0000-0000-0000-000000000001"
AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
APPLICATION = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": "job", "AZURE_CLIENT_SECRET": "s3"}
GRAPH = "https://graph.microsoft.com"


@pytest.fixture
def microsoft(bench: Bench) -> FakeEngine:
    """The engine of a profile at Entra; nobody is there."""
    bench.environ["NBAUTH_AUTHORITY"] = AUTHORITY
    bench.session.configure(refresh_ahead=False)
    bench.screen.is_attended = False
    bench.session.new_cell()
    client = bench.session.client()
    made = bench.session.new_engine(client)
    assert isinstance(made, FakeEngine)
    return made


def name_in(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def asked(engine: FakeEngine) -> list[tuple[Any, str]]:
    return [
        (call.arguments["wanted"], str(call.arguments["request"].scopes))
        for call in engine.calls
        if call.method == "obtain"
    ]


def test_a_run_without_a_person_uses_the_application_that_the_environment_names(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    token = bench.session.token("User.Read")
    assert str(token).startswith("access-")
    assert asked(microsoft) == [(ClientCredentials(), f"{GRAPH}/.default")]
    as_client = next(call for call in microsoft.calls if call.method == "as_client")
    assert as_client.arguments["client_id"] == "job"
    assert as_client.arguments["authority"].url == AUTHORITY
    assert as_client.arguments["credential"].read() == "s3"
    (account,) = bench.session.accounts()
    assert account.application
    assert (account.username, account.tenant_id) == ("job", TENANT)
    assert bench.screen.shown == []


@pytest.mark.parametrize("call", ["login", "acquire", "token", "auth"])
def test_each_kind_of_call_does(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    name_in(monkeypatch, APPLICATION)
    if call == "login":
        account = bench.session.login("User.Read")
        assert isinstance(account, Account)
        assert account.application
    elif call == "auth":
        import requests

        request = requests.Request("GET", f"{GRAPH}/v1.0/users").prepare()
        assert bench.session.authorise()(request).headers["Authorization"].startswith("Bearer ")
    else:
        getattr(bench.session, call)("User.Read")
    assert len(asked(microsoft)) == 1


def test_a_person_who_is_there_is_asked_instead(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.screen.is_attended = True
    account = bench.session.login("User.Read")
    assert isinstance(account, Account)
    assert not account.application
    assert asked(microsoft) == []


def test_a_call_that_must_not_ask_uses_it_although_a_person_is_there(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.screen.is_attended = True
    assert bench.session.acquire("User.Read", interactive=False).account.application


def test_a_person_who_signed_in_before_goes_first(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.session.login("User.Read", web_ui=redirect)
    assert not bench.session.acquire("User.Read").account.application
    assert not bench.session.acquire("Mail.Read").account.application


def test_a_named_account_is_never_replaced_by_an_application(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    for call in (bench.session.acquire, bench.session.login):
        with pytest.raises(InteractionRequired):
            call("User.Read", account="ada@example.com")
    assert asked(microsoft) == []


def test_it_needs_no_client_id_of_the_profile(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del bench.environ["NBAUTH_CLIENT_ID"]
    bench.session.new_cell()
    with pytest.raises(ConfigurationError, match="No client_id is set"):
        bench.session.acquire("User.Read")
    name_in(monkeypatch, APPLICATION)
    assert bench.session.acquire("User.Read").account.application
    bench.screen.is_attended = True
    with pytest.raises(ConfigurationError, match="No client_id is set"):
        bench.session.login("User.Read", force=True)


def test_other_issuers_and_incomplete_variables_name_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.screen.is_attended = False
    name_in(monkeypatch, APPLICATION)
    with pytest.raises(InteractionRequired):
        bench.session.acquire("read")
    bench.environ["NBAUTH_AUTHORITY"] = AUTHORITY
    bench.session.new_cell()
    for name in APPLICATION:
        with monkeypatch.context() as patch:
            patch.delenv(name)
            with pytest.raises(InteractionRequired):
                bench.session.acquire("User.Read")


@pytest.mark.parametrize(
    ("variables", "flow"),
    [
        ({"IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi", "IDENTITY_HEADER": "h"}, "managed"),
        ({"MSI_ENDPOINT": "http://127.0.0.1:1/msi", "MSI_SECRET": "h"}, "managed"),
        ({"IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi"}, ""),
        ({"AZURE_CLIENT_ID": "user-assigned"}, ""),
    ],
)
def test_a_managed_identity_is_used_if_variables_name_its_endpoint(
    bench: Bench,
    microsoft: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    flow: str,
) -> None:
    name_in(monkeypatch, variables)
    if not flow:
        with pytest.raises(InteractionRequired):
            bench.session.acquire("User.Read")
        return
    account = bench.session.acquire("User.Read").account
    assert account.application
    assert account.username == "managed identity system-assigned"
    assert asked(microsoft) == [(ManagedIdentity(""), f"{GRAPH}/.default")]


def test_the_assertion_of_a_workload_is_read_at_each_renewal(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    variables = {**APPLICATION, "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    del variables["AZURE_CLIENT_SECRET"]
    name_in(monkeypatch, variables)
    read: list[str] = []

    def obtained() -> None:
        last = [call for call in microsoft.calls if call.method == "as_client"][-1]
        credential = last.arguments["credential"]
        assert isinstance(credential, ClientAssertion)
        read.append(str(credential.read()))

    microsoft.will("obtain", obtained, obtained)
    token = bench.session.token("User.Read")
    file.write_text("second")
    bench.clock.advance(microsoft.lifetime)
    assert str(token)
    assert read == ["first", "second"]
    file.unlink()
    bench.clock.advance(microsoft.lifetime)
    microsoft.will("obtain", obtained)
    with pytest.raises(NbAuthError, match=r"cannot be read: No such file"):
        str(token)


def test_a_renewed_token_is_of_the_same_application(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    token = bench.session.token("User.Read")
    monkeypatch.setenv("AZURE_CLIENT_ID", "another")
    bench.clock.advance(microsoft.lifetime)
    with pytest.raises(TokenError, match="no longer job"):
        str(token)


def test_a_sign_in_says_that_it_is_an_application(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.session.login("User.Read")
    bench.session.login("User.Read")
    bench.session.login("User.Read", force=True, quiet=True)
    said = ["Signed in as job (application).", "Already signed in as job (application)."]
    assert [one.partition(" (--")[0] for one in bench.screen.said] == said


def test_it_asks_for_each_resource(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.session.acquire("User.Read")
    vault = "https://vault.azure.net/.default"
    assert bench.session.acquire(vault).scopes == (vault,)
    assert [scopes for _, scopes in asked(microsoft)] == [f"{GRAPH}/.default", vault]


def test_a_failure_says_what_and_asks_nobody(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    text = "AADSTS7000215: Invalid client secret provided."
    microsoft.will("obtain", refusal("invalid_client", text))
    with pytest.raises(NbAuthError, match="AADSTS7000215"):
        bench.session.acquire("User.Read")
    token = bench.session.token("User.Read")
    bench.screen.is_attended = True
    bench.clock.advance(microsoft.lifetime)
    microsoft.will("obtain", refusal("interaction_required", "no"))
    with pytest.raises(TokenError) as caught:
        str(token)
    assert not isinstance(caught.value, InteractionRequired)
    assert bench.screen.shown == []


def test_it_is_never_stored(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name_in(monkeypatch, {**APPLICATION, "XDG_DATA_HOME": str(tmp_path)})
    bench.session.login("User.Read", persist="file", flow="app")
    (account,) = bench.session.accounts()
    record = bench.session.cache.signed_in[account.key]
    assert record.kept == "memory"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_explicit_flow_signs_in_beside_a_person_and_back(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.screen.is_attended = True
    person = bench.session.login("User.Read", web_ui=redirect)
    application = bench.session.login("User.Read", flow="app")
    assert isinstance(application, Account)
    assert application.application
    assert bench.session.login("User.Read", flow="app") == application
    assert len(asked(microsoft)) == 1, "already signed in"
    assert not bench.session.acquire("User.Read", account=person).account.application  # type: ignore[arg-type]
    again = bench.session.login("User.Read", flow="device")
    assert isinstance(again, Account)
    assert not again.application


def test_the_setting_flow_decides_in_any_place(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.screen.is_attended = True
    bench.session.configure(flow="app")
    assert bench.session.acquire("User.Read").account.application


def test_sign_out_removes_it(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    bench.session.login("User.Read")
    bench.session.logout(revoke=True)
    assert bench.session.accounts() == []
    assert bench.session.cache.tokens == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_renews_it_itself(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    token = bench.session.token("User.Read")
    bench.clock.advance(microsoft.lifetime)
    bench.session.forked()
    bench.session._engines._engines = {}
    assert str(token).startswith("access-")


def test_an_application_needs_an_api(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    with pytest.raises(ConfigurationError, match="needs a scope of an API"):
        bench.session.acquire("openid", "profile")


def test_a_certificate_and_its_chain_are_read_from_the_variables(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        **APPLICATION,
        "AZURE_CLIENT_CERTIFICATE_PATH": "/run/cert.pfx",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": "pw",
        "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": "true",
    }
    del variables["AZURE_CLIENT_SECRET"]
    name_in(monkeypatch, variables)
    bench.session.acquire("User.Read")
    as_client = next(call for call in microsoft.calls if call.method == "as_client")
    credential = as_client.arguments["credential"]
    assert isinstance(credential, Certificate)
    assert (credential.path, credential.send_chain) == ("/run/cert.pfx", True)
    assert credential.password is not None
    assert credential.password() == "pw"


def test_at_another_issuer_the_profiles_own_credential_is_used(bench: Bench) -> None:
    bench.engine.credential = ClientSecret(lambda: refusal("never"))  # type: ignore[arg-type, return-value]
    bench.screen.is_attended = False
    account = bench.session.login("read", flow="app")
    assert isinstance(account, Account)
    assert (account.username, account.application) == ("notebooks", True)
    assert asked(bench.engine) == [(ClientCredentials(), "read")]


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
def test_an_application_needs_one_tenant(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch, tenant: str
) -> None:
    name_in(monkeypatch, {**APPLICATION, "AZURE_TENANT_ID": tenant})
    with pytest.raises(NbAuthError, match="needs one tenant") as refused:
        bench.session.acquire("User.Read")
    assert refused.value.code == "no_tenant"
    assert asked(microsoft) == []


@pytest.mark.parametrize(
    "variables", [{}, {"AZURE_CLIENT_ID": "x"}, {"IDENTITY_ENDPOINT": "http://127.0.0.1:1"}]
)
def test_a_metadata_endpoint_is_never_contacted_unasked(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """With the real engine: a token, a sign-in, the doctor, and the account list open no socket."""
    name_in(monkeypatch, variables)

    def guard(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", guard)
    monkeypatch.setattr(socket.socket, "connect_ex", guard)
    environ = {"NBAUTH_AUTHORITY": AUTHORITY, "NBAUTH_CLIENT_ID": "person"}
    session = Session(SettingsReader(environ), NoScreen())
    for call in (session.acquire, session.login, session.token):
        with pytest.raises(InteractionRequired):
            call("User.Read")
    assert session.accounts() == []
    assert list(parts(session, {}))


@pytest.mark.parametrize(
    "names",
    [
        ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"),
        ("MSI_ENDPOINT", "MSI_SECRET"),
        ("IDENTITY_ENDPOINT", "IMDS_ENDPOINT"),
        ("MSI_ENDPOINT", "AZUREPS_HOST_ENVIRONMENT"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST",),
    ],
)
def test_each_platforms_variables_name_its_endpoint(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    name_in(monkeypatch, dict.fromkeys(names, "http://127.0.0.1:1"))
    assert bench.session.acquire("User.Read").account.application
    assert asked(microsoft) == [(ManagedIdentity(""), f"{GRAPH}/.default")]


def test_a_failing_endpoint_does_not_end_a_token_that_is_still_valid(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, {"IDENTITY_ENDPOINT": "http://127.0.0.1:1", "IDENTITY_HEADER": "h"})
    token = bench.session.token("User.Read")
    first = str(token)
    bench.clock.advance(microsoft.lifetime - 100)
    microsoft.will("obtain", unreachable())
    assert str(token) == first
    bench.clock.advance(100)
    microsoft.will("obtain", unreachable())
    with pytest.raises(AuthorityUnreachable):
        str(token)
    assert str(token) != first


def test_an_applications_policy_error_asks_no_person(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    text = "AADSTS53003: Access has been blocked by Conditional Access policies."
    microsoft.will("obtain", refusal("interaction_required", text))
    with pytest.raises(TokenError, match="Conditional Access policy for workload") as refused:
        bench.session.acquire("User.Read")
    assert not isinstance(refused.value, InteractionRequired)
    assert "%login" not in (refused.value.hint or "")


@pytest.mark.parametrize("host", ["", "http://login.example", "https://a b"])
def test_a_credential_is_sent_only_to_a_named_https_host(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The profile's authority has only the form of Microsoft's."""
    bench.environ["NBAUTH_AUTHORITY"] = f"https://stack.example/{TENANT}"
    bench.screen.is_attended = False
    bench.session.new_cell()
    name_in(monkeypatch, {**APPLICATION, "AZURE_AUTHORITY_HOST": host})
    with pytest.raises(ConfigurationError, match=r"AZURE_AUTHORITY_HOST|may be sent to"):
        bench.session.login("User.Read", flow="app")


@pytest.mark.parametrize("flow", ["app", "workload-identity", "managed-identity"])
@pytest.mark.parametrize(
    "authority",
    [
        "https://id.example",
        "https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_signin",
        "https://c.ciamlogin.com",
        "https://fs.example/adfs",
    ],
)
def test_the_variables_are_for_entra_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, flow: str, authority: str
) -> None:
    """Elsewhere the profile has a credential of its own."""
    name_in(monkeypatch, {**APPLICATION, "AZURE_AUTHORITY_HOST": "login.microsoftonline.com"})
    bench.environ["NBAUTH_AUTHORITY"] = authority
    bench.session.new_cell()
    scope = "https://api.example/read"
    if (flow, authority) == ("app", "https://id.example"):
        del bench.environ["NBAUTH_CLIENT_ID"]
        bench.session.new_cell()
        with pytest.raises(ConfigurationError, match="No client_id is set"):
            bench.session.login(scope, flow=flow)
        return
    with pytest.raises(ConfigurationError, match="for Entra ID") as refused:
        bench.session.login(scope, flow=flow)
    assert "client_certificate" in (refused.value.hint or "")


# ── claims challenges ───────────────────────────────────────────────────────────────────────

CLAIMS = '{"access_token":{"nbf":{"value":"1"}}}'


def refused(auth: Any, challenge: str) -> Any:
    """What ``auth`` does with a 401 for its token: the next token, or the error."""
    import requests

    host = next(host for host, scopes in auth._hosts.items() if scopes)
    request = auth(requests.Request("GET", f"https://{host}/").prepare())
    answer = requests.Response()
    answer.status_code = 401
    answer.headers["WWW-Authenticate"] = challenge
    found = auth._refused(request, answer, whole=True)
    assert found is not None
    return auth._another(found)


def test_an_application_answers_a_claims_challenge_by_a_new_token(
    bench: Bench, microsoft: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_in(monkeypatch, APPLICATION)
    encoded = base64.b64encode(CLAIMS.encode()).decode()
    auth = bench.session.authorise("User.Read")
    assert refused(auth, f'Bearer error="insufficient_claims", claims="{encoded}"')
    requests = [one.arguments["request"] for one in microsoft.calls if one.method == "obtain"]
    assert [request.claims for request in requests] == [None, CLAIMS]
    assert all(request.scopes.declares for request in requests)
    bench.session.token("User.Read")
    assert not microsoft.calls[-1].arguments["request"].scopes.declares


def test_nobody_can_step_up_for_an_application(bench: Bench) -> None:
    bench.engine.credential = ClientSecret(lambda: refusal("never"))  # type: ignore[arg-type, return-value]
    bench.session.configure(hosts={"api.example": ["read"]})
    bench.session.login("read", flow="app")
    auth = bench.session.authorise("read")
    with pytest.raises(TokenError, match="requires the sign-in of a person") as caught:
        refused(auth, 'Bearer error="insufficient_user_authentication", max_age=5')
    assert caught.value.code == "step_up_required"
    assert bench.screen.shown == []
