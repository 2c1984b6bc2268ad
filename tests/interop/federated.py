"""Fixtures of the tests with federated users: a real Kerberos realm, a stand-in for AD FS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.session import Session
from nbauth.oauth.authorities import parse
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import IntegratedWindows, Password
from nbauth.oauth.federation.metadata_exchange import Kind, Version
from tests.harness.certificates import Certificates
from tests.harness.federation_server import PASSWORD, PATHS, FederationServer, metadata
from tests.harness.kerberos import Kerberos, running_kerberos
from tests.harness.panva import Panva
from tests.interop.peers import assert_plain, new_session

SAML = {"1.1": "urn:ietf:params:oauth:grant-type:saml1_1-bearer"}
SAML["2.0"] = "urn:ietf:params:oauth:grant-type:saml2-bearer"
MEX = "/adfs/services/trust/mex"
WINDOWS = PATHS[Kind.WINDOWS, Version.V13]
USERNAME = PATHS[Kind.USERNAME, Version.V13]


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kerberos]:
    with running_kerberos(tmp_path_factory.mktemp("kerberos")) as kerberos:
        yield kerberos


@pytest.fixture
def kerberos(realm: Kerberos, monkeypatch: pytest.MonkeyPatch) -> Kerberos:
    """The realm, and a valid ticket of its user."""
    monkeypatch.setenv("KRB5_KTNAME", str(realm.keytab))
    use(monkeypatch, realm, "ticket")
    return realm


def use(monkeypatch: pytest.MonkeyPatch, kerberos: Kerberos, name: str) -> None:
    cache = kerberos.folder / f"{name}.ccache"
    if name == "ticket" and not cache.exists():
        kerberos.ticket(name)
    elif name == "expired" and not cache.exists():
        kerberos.expired_ticket()
    for variable, value in kerberos.variables(cache).items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def server(panva: Panva, certificates: Certificates) -> Iterator[FederationServer]:
    """The stand-in for AD FS; the provider knows it as the server of its users."""
    with FederationServer(certificates, panva.accept_assertion) as made:
        panva.control(realm=made.realm)
        yield made


@pytest.fixture
def engine(panva: Panva) -> Iterator[MicrosoftEngine]:
    made = MicrosoftEngine(parse(panva.ms_authority), panva.client_id, verify=panva.ca_file)
    yield made
    made.close()


@pytest.fixture
def session(panva: Panva) -> Session:
    settings: dict[str, Any] = {"authority": panva.ms_authority, "verify": panva.ca_file}
    return new_session(client_id=panva.client_id, **settings)


def obtain(engine: MicrosoftEngine, wanted: Any, **more: Any) -> TokenResponse:
    return engine.obtain(wanted, AuthorizationRequest(SCOPES, **more))


def refused(engine: MicrosoftEngine, wanted: Any) -> NbAuthError:
    with pytest.raises(NbAuthError) as caught:
        obtain(engine, wanted)
    assert_plain(caught.value)
    assert caught.value.hint
    return caught.value


SCOPES = Scopes.parse(["User.Read"], microsoft=True)
BY_PASSWORD = Password("ada@example.org", SecretStr(PASSWORD))
BY_TICKET = IntegratedWindows()


def metadata_of(server: FederationServer) -> str:
    return metadata(server.base)
