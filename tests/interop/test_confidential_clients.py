"""Clients with a secret, a certificate or an assertion, at a real provider: the sign-in of a person
(F2b) and client credentials (``--flow app``), and azure-identity beside nbauth."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from nbauth.core.account import Account
from nbauth.core.errors import ConfigurationError, FlowUnavailable, InteractionRequired, NbAuthError
from nbauth.kernel.session import Session
from tests.harness.certificates import Certificates
from tests.harness.client_keys import ClientKey, client_key
from tests.harness.identity_endpoint import running_endpoint
from tests.harness.panva import Panva
from tests.interop.peers import (
    PEERS,
    Peer,
    assert_plain,
    new_session,
    our_threads,
    peer_of,
    screen_of,
    until,
)
from tests.interop.scripted_browser import ScriptedBrowser

SECRET = "the-secret-of-a-client-that-the-tests-made"
REDIRECT = "http://localhost/"
PERSONAL = {
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "redirect_uris": ["http://localhost", "http://127.0.0.1"],
    "response_types": ["code"],
    "application_type": "native",
}
GRAPH = "https://graph.microsoft.com/.default"


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest, panva: Panva) -> Peer:
    return peer_of(panva, request.param)


@pytest.fixture
def session(peer: Peer) -> Iterator[Session]:
    made = new_session(**{**peer.settings, "client_id": "job"})
    yield made
    for pending in made.pending():
        pending.cancel()
    until(lambda: not our_threads(), 2)


def register(panva: Panva, key: ClientKey | None = None, **more: Any) -> None:
    """The client ``job``: with a certificate's key, else with ``SECRET``."""
    if key is None:
        panva.add_client("job", client_secret=SECRET, **more)
    else:
        how = {"token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks}
        panva.add_client("job", **how, **more)


def last_assertion(panva: Panva) -> dict[str, Any]:
    sent = panva.requests("token")[-1]
    assert sent["params"]["client_assertion_type"].endswith(":jwt-bearer")
    assert "client_secret" not in sent["fields"]
    header: dict[str, Any] = sent["assertion"]
    return header


def assert_an_application(session: Session, peer: Peer, scope: str) -> Any:
    account = session.login(scope, flow="app")
    assert isinstance(account, Account)
    assert (account.username, account.application) == ("job", True)
    assert account.title == "job (application)"
    result = session.acquire(scope)
    who = requests.get(
        peer.api_url,
        headers={"Authorization": f"Bearer {result.access_token}"},
        verify=str(peer.settings["verify"]),
        timeout=10,
    ).json()
    assert who["client_id"] == "job"
    return result


# --------------------------------------------------------------------------- the application


def test_a_secret_that_is_read_each_time(
    session: Session, peer: Peer, panva: Panva, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotated secret takes effect in a running kernel."""
    register(panva)
    session.configure(client_secret_from="environment")
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    assert_an_application(session, peer, peer.first)
    panva.add_client("job", client_secret="another-secret-that-is-long-enough")
    with pytest.raises(ConfigurationError) as refused:
        session.acquire(peer.first, force_refresh=True)
    assert_plain(refused.value)
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", "another-secret-that-is-long-enough")
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"
    sent = panva.requests("token")[-1]
    assert sent["grant_type"] == "client_credentials"
    assert sent["scope"] == (GRAPH if peer.name == "microsoft" else "read")
    told = repr((session.accounts(), session.client(), session.screen, refused.value))
    assert SECRET not in told


@pytest.mark.parametrize("form", ["pem", "pfx", "encrypted pem", "encrypted pfx"])
def test_a_certificate(
    session: Session,
    peer: Peer,
    panva: Panva,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    key = client_key()
    register(panva, key)
    password = "of the key" if "encrypted" in form else ""
    path = tmp_path / f"client.{form[-3:]}"
    write: Callable[..., str] = key.pem if form.endswith("pem") else key.pfx
    session.configure(client_certificate=write(path, password=password))
    monkeypatch.setenv("NBAUTH_CLIENT_CERTIFICATE_PASSWORD", "of the key")
    assert_an_application(session, peer, peer.first)
    header = last_assertion(panva)
    assert (header["alg"], "x5c" in header) == ("RS256", False)
    thumbprint = base64.urlsafe_b64decode(header["x5t"] + "==")
    from cryptography.hazmat.primitives.hashes import SHA1

    assert thumbprint == key.certificate.fingerprint(SHA1())


@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_the_chain_is_sent_if_it_is_asked_for(
    session: Session, peer: Peer, panva: Panva, tmp_path: Path, form: str
) -> None:
    key = client_key()
    register(panva, key)
    write: Callable[..., str] = key.pem if form == "pem" else key.pfx
    session.configure(
        client_certificate=write(tmp_path / f"client.{form}", chain=True),
        client_certificate_chain=True,
    )
    assert_an_application(session, peer, peer.first)
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = [base64.b64decode(one) for one in last_assertion(panva)["x5c"]]
    assert chain[0] == key.certificate.public_bytes(Encoding.DER)
    assert chain[-1] == key.issuer.public_bytes(Encoding.DER)


def test_a_renewed_certificate_is_read_from_the_same_file(
    session: Session, peer: Peer, panva: Panva, tmp_path: Path
) -> None:
    path = tmp_path / "client.pem"
    register(panva, client_key())
    session.configure(client_certificate=client_key().pem(path))
    assert_an_application(session, peer, peer.first)
    register(panva, client_key("RSA", 1))
    with pytest.raises(NbAuthError):
        session.acquire(peer.first, force_refresh=True)
    client_key("RSA", 1).pem(path)
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"


@pytest.mark.parametrize("curve", ["P-256", "P-384"])
def test_an_elliptic_key(panva: Panva, tmp_path: Path, curve: str) -> None:
    """Microsoft's authorities accept RSA keys only; that is said before anything is sent."""
    key = client_key(curve)
    register(panva, key)
    for name in PEERS:
        peer = peer_of(panva, name)
        session = new_session(**{**peer.settings, "client_id": "job"})
        session.configure(client_certificate=key.pem(tmp_path / "client.pem"))
        if name == "oidc" and curve == "P-256":
            assert_an_application(session, peer, peer.first)
            assert last_assertion(panva)["alg"] == "ES256"
        else:
            before = len(panva.requests("token"))
            with pytest.raises(ConfigurationError, match="key") as refused:
                session.login(peer.first, flow="app")
            assert refused.value.code == "bad_certificate"
            assert len(panva.requests("token")) == before


def test_an_assertion_in_a_file_is_read_each_time(
    session: Session, peer: Peer, panva: Panva, tmp_path: Path
) -> None:
    key, file = client_key(), tmp_path / "assertion"
    register(panva, key)

    def write() -> None:
        file.write_text(signed(key, panva.requests("discovery"), peer) + "\n")

    write()
    session.configure(client_assertion_file=str(file))
    assert_an_application(session, peer, peer.first)
    with pytest.raises(NbAuthError):  # the provider accepts an assertion once
        session.acquire(peer.first, force_refresh=True)
    write()
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"
    file.write_text("")
    with pytest.raises(ConfigurationError, match="is empty"):
        session.acquire(peer.first, force_refresh=True)
    file.unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        session.acquire(peer.first, force_refresh=True)


def signed(key: ClientKey, _: object, peer: Peer) -> str:
    """An assertion as another service would sign it."""
    import secrets
    import time

    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    now = int(time.time())
    claims = {
        "iss": "job", "sub": "job", "aud": peer.issuer, "iat": now, "exp": now + 60,
        "jti": secrets.token_urlsafe(8),
    }  # fmt: skip
    return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(pem))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "cannot be used"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        (b"\x30\x82\x00\x00", "cannot be used"),
        ("no key", "a private key"),
        ("another key", "does not belong"),
    ],
)
def test_a_bad_certificate_sends_nothing(
    session: Session, peer: Peer, panva: Panva, tmp_path: Path, content: Any, why: str
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    path, one, other = tmp_path / "client.pem", client_key(), client_key("RSA", 1)
    if content == "no key":
        path.write_bytes(one.certificate.public_bytes(Encoding.PEM))
    elif content == "another key":
        ClientKey(one.key, other.certificate, other.issuer).pem(path)
    elif content is not None:
        path.write_bytes(content)
    session.configure(client_certificate=str(path))
    with pytest.raises(ConfigurationError, match=why) as refused:
        session.login(peer.first, flow="app")
    assert refused.value.code == "bad_certificate"
    assert_plain(refused.value)
    assert panva.requests("token") == []


def test_the_password_of_the_key_is_missing_or_wrong(
    session: Session,
    peer: Peer,
    panva: Panva,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for write, name in ((client_key().pem, "c.pem"), (client_key().pfx, "c.pfx")):
        session.configure(client_certificate=write(tmp_path / name, password="right"))
        monkeypatch.setenv("NBAUTH_CLIENT_CERTIFICATE_PASSWORD", "wrong one")
        with pytest.raises(ConfigurationError) as refused:
            session.login(peer.first, flow="app")
        assert refused.value.code == "bad_certificate"
        assert "wrong one" not in "".join(refused.value.lines())
        monkeypatch.delenv("NBAUTH_CLIENT_CERTIFICATE_PASSWORD")
        with pytest.raises(ConfigurationError) as refused:
            session.login(peer.first, flow="app")
        assert refused.value.code == "no_certificate_password"
        assert "keyring set nbauth:default job" in (refused.value.hint or "")
    assert panva.requests("token") == []


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
def test_an_application_needs_one_tenant(
    panva: Panva, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the profile's credential, or by the variables; nothing is sent."""
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    for named in ("profile", "environment"):
        at = tenant if named == "profile" else panva.tenant
        base = panva.ms_authority.removesuffix(panva.tenant)
        session = new_session(authority=base + at, client_id="job", verify=panva.ca_file)
        if named == "profile":
            session.configure(client_secret_from="environment")
        else:
            monkeypatch.setenv("AZURE_TENANT_ID", tenant)
            monkeypatch.setenv("AZURE_CLIENT_ID", "job")
            monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
            monkeypatch.setenv("AZURE_AUTHORITY_HOST", base)
        with pytest.raises(ConfigurationError, match="one tenant") as refused:
            session.login("User.Read", flow="app")
        assert_plain(refused.value)
    assert panva.requests() == []


def test_two_credentials_or_none(session: Session, peer: Peer, panva: Panva) -> None:
    with pytest.raises(ConfigurationError) as refused:
        session.login(peer.first, flow="app")
    code = "no_service_identity" if peer.name == "microsoft" else "no_client_credential"
    assert refused.value.code == code
    session.configure(client_secret_from="environment", client_certificate="/run/c.pem")
    for flow in ("app", "browser"):
        with pytest.raises(ConfigurationError, match="one credential") as refused:
            session.login(peer.first, flow=flow)
        assert refused.value.code == "several_credentials"
    assert panva.requests("token") == []


REFUSALS = {
    "AADSTS7000215": "The client secret is wrong.",
    "AADSTS7000222": "The client secret has expired.",
    "AADSTS700027": "The application's certificate is not registered",
    "AADSTS700016": "is not known in this tenant",
    "AADSTS500011": "This tenant does not have the API",
    "AADSTS53003": "A Conditional Access policy for workload identities",
}


@pytest.mark.parametrize("code", REFUSALS)
def test_refusals_are_sentences(panva: Panva, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = peer_of(panva, "microsoft")
    session = new_session(**{**peer.settings, "client_id": "job"})
    session.configure(client_secret_from="environment")
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    word = "interaction_required" if code == "AADSTS53003" else "invalid_client"
    body = {"error": word, "error_description": f"{code}: The provider's words.",
            "error_codes": [int(code.removeprefix("AADSTS"))], "correlation_id": "c-1"}  # fmt: skip
    panva.fault("token", "json", status=401, body=body)
    with pytest.raises(NbAuthError, match=REFUSALS[code]) as refused:
        session.login(peer.first, flow="app")
    assert_plain(refused.value)
    assert (refused.value.code, refused.value.correlation_id) == (code, "c-1")
    assert not isinstance(refused.value, InteractionRequired | FlowUnavailable)


# --------------------------------------------------------------------------- a person (F2b)


@pytest.mark.parametrize("credential", ["secret", "certificate"])
def test_a_person_signs_in_to_a_web_application(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    credential: str,
) -> None:
    register(panva, None if credential == "secret" else client_key(), **PERSONAL)
    if credential == "secret":
        session.configure(client_secret_from="environment")
        monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    else:
        session.configure(client_certificate=client_key().pem(tmp_path / "c.pem"))
    account = session.login(peer.first, web_ui=scripted)
    assert isinstance(account, Account)
    assert (account.username, account.application) == (peer.account[0], False)
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"
    grants = ["authorization_code", "refresh_token"]
    sent = [one for one in panva.requests("token") if one["status"] == 200]
    assert [one["grant_type"] for one in sent] == grants
    field = "client_secret" if credential == "secret" else "client_assertion"
    if peer.name == "microsoft" or credential != "secret":
        assert all(field in one["fields"] for one in sent)
    assert all("code_verifier" in one["fields"] for one in sent[:1]), "PKCE too"
    engines = 2  # of the sign-in, and of the session; MSAL's constructor would fetch it each time
    assert len(panva.requests("discovery")) == engines
    session.logout(account, revoke=True)
    assert len(panva.requests("revocation")) == (peer.name == "oidc")


def test_a_persons_refresh_uses_the_new_secret(
    session: Session,
    peer: Peer,
    panva: Panva,
    scripted: ScriptedBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(panva, None, **PERSONAL)
    session.configure(client_secret_from="environment")
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    session.login(peer.first, web_ui=scripted)
    rotated = "another-secret-that-is-long-enough"
    panva.add_client("job", client_secret=rotated, **PERSONAL)
    with pytest.raises(ConfigurationError) as refused:
        session.acquire(peer.first, force_refresh=True)
    assert not isinstance(refused.value, InteractionRequired)
    monkeypatch.delenv("NBAUTH_CLIENT_SECRET")
    with pytest.raises(ConfigurationError, match="NBAUTH_CLIENT_SECRET is not set"):
        session.acquire(peer.first, force_refresh=True)
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", rotated)
    assert session.acquire(peer.first, force_refresh=True).source == "refresh"


def test_a_missing_secret_opens_no_browser(session: Session, peer: Peer, panva: Panva) -> None:
    session.configure(client_secret_from="environment")

    def never(address: str) -> str:
        raise AssertionError(address)

    with pytest.raises(ConfigurationError, match="NBAUTH_CLIENT_SECRET is not set"):
        session.login(peer.first, web_ui=never)
    assert panva.requests("authorization") == []


def test_microsofts_web_applications_have_no_device_codes(
    panva: Panva, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MSAL offers them to public clients only. The error names the flow to use."""
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    session = new_session(**{**peer_of(panva, "microsoft").settings, "client_id": "job"})
    session.configure(client_secret_from="environment")
    with pytest.raises(FlowUnavailable, match="public clients") as refused:
        session.login("User.Read", flow="device")
    assert refused.value.suggested_flow == "browser"
    assert "%login --flow browser" in (refused.value.hint or "")
    assert panva.requests("device_authorization") == []


# --------------------------------------------------------------------------- the environment


@pytest.fixture
def unattended(panva: Panva, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session of a person's profile, in which nobody can answer."""
    peer = peer_of(panva, "microsoft")
    session = new_session(**peer.settings)
    screen_of(session).there = False
    name_application(monkeypatch, panva)
    return session


def name_application(monkeypatch: pytest.MonkeyPatch, panva: Panva, **more: str) -> None:
    base = panva.ms_authority.removesuffix(f"/{panva.tenant}").removeprefix("https://")
    named = {
        "AZURE_AUTHORITY_HOST": base,
        "AZURE_TENANT_ID": panva.tenant,
        "AZURE_CLIENT_ID": "job",
        **more,
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)


def azure_header(panva: Panva, credential: Any) -> dict[str, Any] | None:
    """What azure-identity sends with the same environment."""
    with credential:
        assert credential.get_token(GRAPH).token
    sent: dict[str, Any] = panva.requests("token")[-1]
    return sent["assertion"]  # type: ignore[no-any-return]


def azure(panva: Panva) -> dict[str, Any]:
    return {"disable_instance_discovery": True, "connection_verify": panva.ca_file}


def test_a_secret_in_the_environment(
    unattended: Session, panva: Panva, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import EnvironmentCredential

    register(panva)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    azure_header(panva, EnvironmentCredential(**azure(panva)))
    theirs = panva.requests("token")[-1]
    assert unattended.acquire("User.Read").account.application
    ours = panva.requests("token")[-1]
    for name in ("path", "client_id", "grant_type", "scope"):
        assert ours[name] == theirs[name], name
    assert set(ours["fields"]) == set(theirs["fields"])


@pytest.mark.parametrize(
    ("form", "password", "chain"),
    [
        ("pem", "", ""),
        ("pem", "of the key", "true"),
        ("pfx", "", "true"),
        ("pfx", "of the key", ""),
    ],
)
def test_a_certificate_in_the_environment(
    unattended: Session,
    panva: Panva,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    form: str,
    password: str,
    chain: str,
) -> None:
    from azure.identity import EnvironmentCredential

    key = client_key()
    register(panva, key)
    write: Callable[..., str] = key.pem if form == "pem" else key.pfx
    path = write(tmp_path / "c", password=password, chain=True)
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", path)
    if password:
        monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", password)
    if chain:
        monkeypatch.setenv("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", chain)
    theirs = azure_header(panva, EnvironmentCredential(**azure(panva)))
    assert unattended.acquire("User.Read").account.application
    ours = last_assertion(panva)
    assert theirs is not None
    for name in ("alg", "x5t", "x5c", "aud"):
        assert ours.get(name) == theirs.get(name), name
    assert bool(ours.get("x5c")) == bool(chain)


def test_a_secret_goes_before_a_certificate_and_a_workload(
    unattended: Session, panva: Panva, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from azure.identity import DefaultAzureCredential

    key, file = client_key(), tmp_path / "assertion"
    named = {
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_CLIENT_CERTIFICATE_PATH": key.pem(tmp_path / "c.pem"),
        "AZURE_CLIENT_SECRET": SECRET,
    }
    peer = peer_of(panva, "microsoft")
    for number, name in enumerate(named):
        monkeypatch.setenv(name, named[name])
        register(panva, None if name == "AZURE_CLIENT_SECRET" else key)
        file.write_text(signed(key, None, peer))
        credential = DefaultAzureCredential(
            exclude_managed_identity_credential=True, process_timeout=1, **azure(panva)
        )
        theirs = azure_header(panva, credential)
        file.write_text(signed(key, None, peer))
        unattended.logout(all=True)
        flow = unattended.acquire("User.Read").account
        ours = panva.requests("token")[-1]["assertion"]
        assert flow.application
        assert (ours is None) == (theirs is None) == (number == 2)
        if ours and theirs:
            assert ("x5t" in ours) == ("x5t" in theirs) == (number == 1)


def test_a_workload_identity(
    unattended: Session, panva: Panva, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from azure.identity import WorkloadIdentityCredential

    key, file = client_key(), tmp_path / "assertion"
    register(panva, key)
    peer = peer_of(panva, "microsoft")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    file.write_text(signed(key, None, peer))
    azure_header(panva, WorkloadIdentityCredential(**azure(panva)))
    file.write_text(signed(key, None, peer))
    token = unattended.token("User.Read")
    assert str(token)
    last_assertion(panva)
    file.write_text(signed(key, None, peer))  # the platform has rotated it
    assert unattended.acquire("User.Read", force_refresh=True).source == "refresh"
    for content, why in (("", "is empty"), ("a b", "not a single"), ("\u00e9", "not text")):
        file.write_text(content)
        with pytest.raises(ConfigurationError, match=why) as refused:
            unattended.acquire("User.Read", force_refresh=True)
        assert_plain(refused.value)
    file.unlink()
    with pytest.raises(ConfigurationError, match="No such file") as refused:
        unattended.acquire("User.Read", force_refresh=True)
    assert "AZURE_FEDERATED_TOKEN_FILE" in str(refused.value)


def test_a_credential_goes_only_to_the_host_that_is_named(
    unattended: Session, panva: Panva, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity sends it to login.microsoftonline.com, and never to a profile's address."""
    register(panva)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    monkeypatch.delenv("AZURE_AUTHORITY_HOST")
    with pytest.raises(InteractionRequired):
        unattended.acquire("User.Read")
    with pytest.raises(ConfigurationError, match="may be sent to") as refused:
        unattended.login("User.Read", flow="app")
    assert "AZURE_AUTHORITY_HOST" in (refused.value.hint or "")
    assert panva.requests("token") == []


# --------------------------------------------------------------------------- secrets


def test_no_secret_is_in_a_log(
    unattended: Session,
    panva: Panva,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At DEBUG, nbauth's loggers and MSAL's."""
    caplog.set_level("DEBUG")
    register(panva)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    token = str(unattended.acquire("User.Read").access_token)
    unattended.logout(all=True)
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    file = tmp_path / "assertion"
    register(panva, client_key())
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    file.write_text(assertion := signed(client_key(), None, peer_of(panva, "microsoft")))
    other = str(unattended.acquire("User.Read").access_token)
    assert "POST" in caplog.text
    for secret in (SECRET, token, other, assertion):
        assert secret not in caplog.text


# --------------------------------------------------------------------------- Cloud Shell


def test_cloud_shells_token_is_the_persons(
    panva: Panva,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MSAL asks a fixed port; the request is sent to the endpoint of the test instead."""
    from azure.identity import ManagedIdentityCredential

    session = new_session(authority=panva.ms_authority, verify=panva.ca_file)
    screen_of(session).there = False
    send = requests.Session.send
    with running_endpoint("cloud-shell", certificates, tmp_path) as endpoint:

        def there(self: requests.Session, request: Any, **options: Any) -> Any:
            request.url = request.url.replace("http://localhost:50342", endpoint.base)
            return send(self, request, **options)

        monkeypatch.setattr(requests.Session, "send", there)
        for name, value in endpoint.variables.items():
            monkeypatch.setenv(name, value)
        result = session.acquire("User.Read")
        assert result.access_token.startswith("cloud-shell::https://graph.microsoft.com")
        assert not result.account.application, "it is the person's token"
        assert result.account.username == "currentuser@cloudshell"
        assert session.acquire("User.Read", force_refresh=True).source == "refresh"
        with ManagedIdentityCredential() as credential:
            theirs = credential.get_token(GRAPH).token
        assert theirs.startswith("cloud-shell::https://graph.microsoft.com")
        forms = [dict(query) for query, _ in endpoint.asked]
        assert forms[0] == forms[-1] == {"resource": "https://graph.microsoft.com"}
        monkeypatch.setenv("AZURE_CLIENT_ID", "user-assigned")
        session.logout(all=True)
        with pytest.raises(FlowUnavailable, match="Cloud Shell has one identity"):
            session.acquire("User.Read")
        assert len(endpoint.asked) == len(forms)


def test_a_resource_indicator_is_sent(
    session: Session, peer: Peer, panva: Panva, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8707, for providers that issue tokens of an API only if it is named."""
    register(panva)
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    session.configure(
        client_secret_from="environment",
        extra_parameters={"resource": "https://api.example/", "client_id": "another"},
    )
    session.login(peer.first, flow="app")
    sent = panva.requests("token")[-1]
    in_header = peer.name == "oidc"  # HTTP Basic
    assert sent["client_id"] == (None if in_header else "job"), "not the parameter of the profile"
    assert sent["params"]["resource"] == "https://api.example/"
