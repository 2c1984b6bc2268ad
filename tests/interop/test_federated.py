"""Sign-in of federated users: a real Kerberos realm, and a stand-in for AD FS."""

from __future__ import annotations

import builtins
import gzip
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbauth import process_session
from nbauth.cli import main
from nbauth.core.errors import (
    ConsentRequired,
    FlowUnavailable,
    InteractionRequired,
    SignInError,
)
from nbauth.core.secret import SecretStr
from nbauth.kernel.session import Session
from nbauth.oauth.authorities import parse
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.engines.token_requests import IntegratedWindows, Password
from nbauth.oauth.federation.metadata_exchange import Kind, Version
from nbauth.oauth.federation.namespaces import SECURITY_POLICIES
from tests.harness.federation_server import PASSWORD, PATHS, FederationServer, fault
from tests.harness.kerberos import PYTHON, USER, Kerberos
from tests.harness.kernels import Kernel
from tests.harness.panva import Panva
from tests.harness.ports import free_port
from tests.interop.federated import (
    BY_PASSWORD,
    BY_TICKET,
    MEX,
    SAML,
    SCOPES,
    USERNAME,
    WINDOWS,
    engine,
    kerberos,
    metadata_of,
    obtain,
    realm,
    refused,
    server,
    session,
    use,
)
from tests.interop.peers import screen_of
from tests.oauth.servers import reply

__all__ = ["engine", "kerberos", "realm", "server", "session"]


# ── the sign-in ─────────────────────────────────────────────────────────────────────────────


def test_a_ticket_becomes_an_account_that_refreshes(
    session: Session, server: FederationServer, kerberos: Kerberos, panva: Panva
) -> None:
    account = session.login("User.Read", flow="iwa")
    assert account.username == "ada@example.org"
    assert account.home_account_id == panva.home_account_id()
    asked = panva.requests("realm")
    assert [one["path"] for one in asked] == [f"/common/UserRealm/{USER}"]
    again = session.acquire("User.Read", force_refresh=True)
    assert again.source == "refresh"
    assert panva.token_requests("refresh_token") == 1
    assert screen_of(session).shown == [], "nothing is shown, since nothing is asked"


def test_it_needs_nobody(session: Session, server: FederationServer, kerberos: Kerberos) -> None:
    screen_of(session).there = False
    session.configure(flow="iwa")
    assert session.acquire("User.Read").account.username == "ada@example.org"
    assert session.acquire("User.Read", account="ada@example.org").source == "cache"
    session.login("User.Read")
    assert len(server.seen) == 2, "already signed in"


def test_an_expired_sign_in_is_repeated_with_nobody_there(
    session: Session, server: FederationServer, kerberos: Kerberos, panva: Panva
) -> None:
    screen_of(session).there = False
    session.configure(flow="iwa")
    session.acquire("User.Read")
    panva.revoke()
    assert session.acquire("User.Read", force_refresh=True).source == "flow"


def test_the_account_option_names_the_user(
    session: Session, server: FederationServer, kerberos: Kerberos, panva: Panva
) -> None:
    session.login("User.Read", flow="iwa", account="Ada@example.org")
    assert [one["path"] for one in panva.requests("realm")] == ["/common/UserRealm/Ada@example.org"]


@pytest.mark.parametrize("attended", [True, False])
def test_in_a_kernel(
    server: FederationServer, kerberos: Kerberos, panva: Panva, attended: bool
) -> None:
    """No panel is shown and no line printed, whether or not a person could answer."""
    environment = {
        **kerberos.variables(kerberos.ticket("kernel")),
        "PYTHONPATH": str(PYTHON),
        "NBAUTH_CLIENT_ID": panva.client_id,
        "NBAUTH_AUTHORITY": panva.ms_authority,
        "NBAUTH_VERIFY": panva.ca_file,
    }
    with Kernel(env=environment, allow_stdin=attended) as kernel:
        kernel.run("%load_ext nbauth")
        signed_in = kernel.run("account = %login --flow iwa --quiet\nprint(account.username)")
        assert signed_in.text == "ada@example.org\n"
        assert signed_in.data == []
        kernel.run("%logout")
        os.unlink(kerberos.folder / "kernel.ccache")
        failed = kernel.run("%login --flow iwa")
    assert failed.error.startswith("SignInError")
    assert "no_kerberos_ticket" in failed.traceback
    assert "kinit" in failed.traceback


@pytest.mark.parametrize("policies", SECURITY_POLICIES)
@pytest.mark.parametrize("saml", SAML)
@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("wanted", [BY_PASSWORD, BY_TICKET], ids=["password", "ticket"])
def test_versions_and_namespaces(
    engine: MicrosoftEngine,
    server: FederationServer,
    kerberos: Kerberos,
    panva: Panva,
    wanted: Any,
    version: Version,
    saml: str,
    policies: str,
) -> None:
    server.versions, server.saml, server.policies = (version,), saml, policies
    tokens = obtain(engine, wanted)
    assert tokens.refresh_token
    assert tokens.client_info["utid"] == panva.tenant
    kind = Kind.WINDOWS if wanted is BY_TICKET else Kind.USERNAME
    assert server.paths() == [MEX, PATHS[kind, version]]
    assert panva.token_requests(SAML[saml]) == 1


def test_the_newer_version_is_preferred(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos
) -> None:
    obtain(engine, BY_TICKET)
    assert server.paths() == [MEX, WINDOWS]


@pytest.mark.parametrize("account_type", ["Managed", None])
def test_a_managed_users_password(
    engine: MicrosoftEngine, panva: Panva, account_type: str | None
) -> None:
    """``None``: an authority without user realm discovery."""
    if account_type:
        panva.control(realm={"account_type": account_type})
    tokens = obtain(engine, Password("ada@example.org", SecretStr("ada-password")))
    assert tokens.refresh_token
    assert panva.token_requests("password") == 1
    wrong = refused(engine, Password("ada@example.org", SecretStr("not-it")))
    assert wrong.code == "AADSTS50126"


def test_a_server_withoutmetadata_of(
    engine: MicrosoftEngine, server: FederationServer, panva: Panva
) -> None:
    panva.control(realm={**server.realm, "federation_metadata_url": ""})
    assert obtain(engine, BY_PASSWORD).refresh_token
    assert server.paths() == [PATHS[Kind.USERNAME, Version.V2005]]


def test_a_password_is_sent_to_no_other_address(
    engine: MicrosoftEngine, server: FederationServer, panva: Panva
) -> None:
    obtain(engine, BY_PASSWORD)
    assert "password" not in panva.requests("token")[-1]["fields"]
    sent = [seen.target for seen in server.seen if b"Password" in seen.body]
    assert sent == [USERNAME]


def test_a_user_name_stays_one_part_of_the_address(
    engine: MicrosoftEngine, server: FederationServer, panva: Panva
) -> None:
    obtain(engine, Password("a/../b?api-version=2#c@example.org", SecretStr(PASSWORD)))
    (asked,) = panva.requests("realm")
    assert asked["path"] == "/common/UserRealm/a%2F..%2Fb%3Fapi-version%3D2%23c@example.org"
    assert asked["fields"] == ["api-version"]


@pytest.mark.parametrize("kind", ["adfs", "b2c", "external-id"])
def test_other_authorities_check_passwords_themselves(
    panva: Panva, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbauth.oauth.engines.microsoft.check_issuer", lambda *_: None)
    authority = replace(parse(panva.ms_authority), kind=kind)
    engine = MicrosoftEngine(authority, panva.client_id, verify=panva.ca_file)
    assert obtain(engine, Password("ada", SecretStr("ada-password"))).refresh_token
    assert panva.requests("realm") == []


@pytest.mark.parametrize("wanted", [BY_PASSWORD, BY_TICKET], ids=["password", "ticket"])
def test_claims_and_extra_parameters_are_sent_to_the_authority(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos, panva: Panva, wanted: Any
) -> None:
    claims = '{"access_token": {}}'
    obtain(engine, wanted, claims=claims, extra_parameters={"ui_locales": "de", "scope": "x"})
    (asked,) = panva.requests("token")
    assert asked["params"]["claims"] == claims
    assert asked["params"]["ui_locales"] == "de"
    assert set(asked["scope"].split()) == {*SCOPES, "openid", "profile", "offline_access"}


def test_no_log_has_a_secret(
    engine: MicrosoftEngine,
    server: FederationServer,
    kerberos: Kerberos,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    for wanted in (BY_PASSWORD, BY_TICKET):
        tokens = obtain(engine, wanted)
        assert str(tokens.access_token) not in caplog.text
    token = server.seen[-1].headers["authorization"].split()[1]
    assert len(token) > 500
    assert token not in caplog.text
    assert PASSWORD.strip() not in caplog.text
    assert "usernamemixed: 200" in caplog.text


def test_a_compressed_document(engine: MicrosoftEngine, server: FederationServer) -> None:
    text = gzip.compress(metadata_of(server).encode())
    server.answers[MEX] = reply(200, text, content_encoding="gzip")
    assert obtain(engine, BY_PASSWORD).refresh_token


# ── refusals ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wanted", [BY_PASSWORD, BY_TICKET], ids=["password", "ticket"])
@pytest.mark.parametrize("tenant", ["common", "consumers"])
def test_common_and_consumers_are_refused_before_anything_is_sent(
    panva: Panva, tenant: str, wanted: Any
) -> None:
    base = panva.ms_authority.rpartition("/")[0]
    engine = MicrosoftEngine(parse(f"{base}/{tenant}"), panva.client_id, verify=panva.ca_file)
    error = refused(engine, wanted)
    assert (error.code, error.suggested_flow) == ("no_tenant", "device")
    assert panva.requests() == []


@pytest.mark.parametrize(
    "authority", ["https://fs.example/adfs", "https://x.b2clogin.com/x.onmicrosoft.com/b2c_1_a"]
)
def test_other_authorities_of_microsoft_refuse_it(authority: str) -> None:
    error = refused(MicrosoftEngine(parse(authority), "id"), BY_TICKET)
    assert isinstance(error, FlowUnavailable)
    assert error.suggested_flow == "browser"
    assert ("AD FS" in str(error)) == ("adfs" in authority)


@pytest.mark.parametrize(
    ("account_type", "code"), [("Managed", "managed_user"), ("Unknown", "unknown_user_type")]
)
def test_a_user_that_is_not_federated(
    engine: MicrosoftEngine, kerberos: Kerberos, panva: Panva, account_type: str, code: str
) -> None:
    panva.control(realm={"account_type": account_type})
    error = refused(engine, BY_TICKET)
    assert (error.code, error.suggested_flow) == (code, "browser")
    assert panva.token_requests() == 0


@pytest.mark.parametrize(
    ("ticket", "code"), [("none", "no_kerberos_ticket"), ("expired", "kerberos_ticket_expired")]
)
@pytest.mark.parametrize("username", ["", "ada@example.org"])
def test_without_a_valid_ticket(
    engine: MicrosoftEngine,
    server: FederationServer,
    kerberos: Kerberos,
    monkeypatch: pytest.MonkeyPatch,
    ticket: str,
    code: str,
    username: str,
) -> None:
    use(monkeypatch, kerberos, ticket)
    error = refused(engine, IntegratedWindows(username))
    assert (error.code, error.suggested_flow) == (code, "browser")
    assert "kinit" in error.hint


def test_a_server_that_the_realm_does_not_know(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos
) -> None:
    text = server.answers[MEX] = reply(200, metadata_of(server).replace("localhost", "127.0.0.1"))
    assert b"127.0.0.1" in text
    assert refused(engine, BY_TICKET).code == "kerberos_failed"
    assert server.paths() == [MEX], "no request without a Kerberos token"


def test_a_realm_whose_server_does_not_answer(
    engine: MicrosoftEngine,
    server: FederationServer,
    kerberos: Kerberos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ticket is valid, but a ticket for the service cannot be requested."""
    text = Path(kerberos.environment["KRB5_CONFIG"]).read_text()
    silent = re.sub(r"kdc = .*", f"kdc = 127.0.0.1:{free_port()}", text)
    (tmp_path / "krb5.conf").write_text(silent)
    fresh = kerberos.ticket("fresh")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{fresh}")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    error = refused(engine, BY_TICKET)
    assert error.code == "kerberos_failed"
    assert "KDC" in str(error)


def test_without_a_kerberos_library(
    engine: MicrosoftEngine, server: FederationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "spnego":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    error = refused(engine, IntegratedWindows("ada@example.org"))
    assert error.code == "no_kerberos_library"
    assert "nbauth[kerberos]" in error.hint


def test_a_ticket_that_the_server_refuses(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos
) -> None:
    server.answers[WINDOWS] = reply(401, "", www_authenticate="Negotiate")
    error = refused(engine, BY_TICKET)
    assert error.code == "kerberos_refused"


@pytest.mark.parametrize("proof", ["Negotiate AAAA", "Negotiate not-base64!"])
def test_a_server_that_cannot_prove_its_identity(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos, proof: str
) -> None:
    server.answers[WINDOWS] = reply(200, "<x/>", www_authenticate=proof)
    assert refused(engine, BY_TICKET).code == "kerberos_server_not_verified"


@pytest.mark.parametrize("number", [50076, 50079])
def test_multi_factor_authentication(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos, panva: Panva, number: int
) -> None:
    _refuse(panva, number, "interaction_required")
    error = refused(engine, BY_TICKET)
    assert isinstance(error, InteractionRequired)
    assert (error.code, error.suggested_flow) == (f"AADSTS{number}", "browser")


def test_a_missing_consent_names_the_page(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos, panva: Panva
) -> None:
    _refuse(panva, 65001, "invalid_grant")
    error = refused(engine, BY_TICKET)
    assert isinstance(error, ConsentRequired)
    assert f"{panva.ms_issuer}/auth?client_id={panva.client_id}" in error.hint
    assert "User.Read" in error.hint


def _refuse(panva: Panva, number: int, word: str) -> None:
    body = {"error": word, "error_description": f"AADSTS{number}: no", "error_codes": [number]}
    panva.fault("token", "json", status=400, body=body)


def test_realm_discovery_that_fails(
    engine: MicrosoftEngine, kerberos: Kerberos, panva: Panva
) -> None:
    assert refused(engine, BY_TICKET).code == "realm_discovery_failed"  # 404
    for answer in ({"account_type": 5}, {"error": "x"}, {"ver": "1.0"}):
        panva.control(realm=answer)
        for wanted in (BY_TICKET, BY_PASSWORD):
            error = refused(engine, wanted)
            assert (error.code, error.suggested_flow) == ("realm_discovery_failed", "browser")
    panva.fault("realm", "503")
    assert refused(engine, BY_PASSWORD).code == "http_503"
    assert panva.token_requests() == 0


def test_a_wrong_password(engine: MicrosoftEngine, server: FederationServer, panva: Panva) -> None:
    error = refused(engine, Password("ada@example.org", SecretStr("not-it-at-all")))
    assert (error.code, error.suggested_flow) == ("wstrust_password", "browser")
    assert "ID3242" in str(error)
    assert panva.token_requests() == 0


def test_no_error_shows_the_password(engine: MicrosoftEngine, server: FederationServer) -> None:
    server.answers[USERNAME] = reply(500, fault("FailedAuthentication", f"not {PASSWORD} today"))
    error = refused(engine, BY_PASSWORD)
    assert PASSWORD.strip() not in str(error) + error.hint
    assert "today" in str(error)


def test_another_fault(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos
) -> None:
    for path, wanted in ((USERNAME, BY_PASSWORD), (WINDOWS, BY_TICKET)):
        server.answers[path] = reply(500, fault("RequestFailed", "MSIS3127: no such relying party"))
        error = refused(engine, wanted)
        assert error.code == "wstrust_refused"
        assert "RequestFailed: MSIS3127" in str(error)


def test_a_server_without_such_an_endpoint(
    engine: MicrosoftEngine, server: FederationServer, kerberos: Kerberos
) -> None:
    server.kinds = (Kind.WINDOWS,)
    assert refused(engine, BY_PASSWORD).code == "no_wstrust_endpoint"
    server.kinds = (Kind.USERNAME,)
    assert refused(engine, BY_TICKET).code == "no_wstrust_endpoint"


def test_the_flow_ends_with_the_error(
    session: Session, server: FederationServer, kerberos: Kerberos, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, kerberos, "none")
    with pytest.raises(SignInError) as caught:
        session.login("User.Read", flow="iwa")
    assert caught.value.code == "no_kerberos_ticket"
    assert session.accounts() == []


@pytest.mark.parametrize(("ticket", "ends"), [("ticket", 0), ("none", 1)])
def test_the_doctor_shows_whose_ticket_it_is(
    kerberos: Kerberos,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    ticket: str,
    ends: int,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(process_session, "_session", None)
    use(monkeypatch, kerberos, ticket)
    options = ["--client-id", "c", "--tenant", "contoso.com", "--flow", "iwa", "--offline"]
    assert main(["doctor", *options]) == ends
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["sign", "in", "by", "iwa:"] in [line[:4] for line in lines]
    assert (["Kerberos", "ticket", "of", USER] in lines) == (ends == 0)
    assert (["trouble"] in [line[:1] for line in lines]) == (ends == 1)
