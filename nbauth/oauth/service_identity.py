"""The service identity that the environment names, by the variables of the Azure SDKs.

The variables are documented in the Azure SDK's "Environment variables" of ``azure-identity``, and
for managed identities in "Managed identities for App Service and Azure Functions". A metadata
endpoint that no variable names is never contacted unless the flow is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nbauth.core.addresses import is_secure
from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import APP, MANAGED_IDENTITY, WORKLOAD_IDENTITY
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Principal, TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.credentials import (
    Certificate,
    ClientAssertion,
    ClientCredential,
    ClientSecret,
)
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.engines.token_requests import ClientCredentials

TENANT, CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
SECRET, CERTIFICATE = "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"
CERTIFICATE_PASSWORD = "AZURE_CLIENT_CERTIFICATE_PASSWORD"
SEND_CHAIN = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"
TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"
AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"
ENDPOINTS = (("IDENTITY_ENDPOINT", "IDENTITY_HEADER"), ("MSI_ENDPOINT", "MSI_SECRET"))
"""Variables of the managed identity of App Service, Functions, Arc, Service Fabric and Azure ML."""


@dataclass(frozen=True)
class ServiceClient:
    """A confidential client that is a service identity."""

    authority: Authority
    client_id: str
    credential: ClientCredential


def named_in(environ: Mapping[str, str], authority: Authority) -> str:
    """The flow of the service identity that the environment names for an authority, or ``""``."""
    if authority.kind != "entra":
        return ""
    if environ.get(TENANT) and environ.get(CLIENT):
        if environ.get(SECRET) or environ.get(CERTIFICATE):
            return APP
        if environ.get(TOKEN_FILE):
            return WORKLOAD_IDENTITY
    if any(all(environ.get(name) for name in pair) for pair in ENDPOINTS):
        return MANAGED_IDENTITY
    return ""


def application_in(environ: Mapping[str, str], authority: Authority) -> ServiceClient:
    """The application with a secret or a certificate. Raises ``ConfigurationError``."""
    client = _client(environ, authority, (SECRET, CERTIFICATE))
    if environ.get(SECRET):
        return replace(client, credential=ClientSecret(lambda: SecretStr(environ[SECRET])))
    password = environ.get(CERTIFICATE_PASSWORD)
    return replace(
        client,
        credential=Certificate(
            environ[CERTIFICATE],
            password=(lambda: SecretStr(password)) if password else None,
            send_chain=environ.get(SEND_CHAIN, "").lower() in {"1", "true"},
        ),
    )


def workload_in(environ: Mapping[str, str], authority: Authority) -> ServiceClient:
    """The workload identity, whose assertion file is read each time it is used.

    Raises ``ConfigurationError``.
    """
    client = _client(environ, authority, (TOKEN_FILE,))
    path = environ[TOKEN_FILE]

    def read() -> SecretStr:
        try:
            with open(path, encoding="ascii") as file:
                assertion = file.read().strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise _unreadable(path, why) from error
        if not assertion:
            raise _unreadable(path, "it is empty")
        return SecretStr(assertion)

    return replace(client, credential=ClientAssertion(read))


def as_application(
    engine: Engine, request: AuthorizationRequest, client: ServiceClient | None
) -> TokenResponse:
    """A token of the application itself (RFC 6749 §4.4).

    Args:
        engine: of the profile's client.
        request: its scopes; at Microsoft's authorities the token is for their resource's
            ``.default``, since permissions of an application are granted and not requested.
        client: another client than the profile's.
    """
    authority = engine.authority if client is None else client.authority
    authority.require_one_tenant("Sign-in as an application")
    asked = replace(request, scopes=_asked(engine.authority, request.scopes))
    if client is None:
        response = engine.obtain(ClientCredentials(), asked)
        return _as(response, engine.client_id, engine.authority.tenant)
    own = engine.as_client(client.client_id, client.authority, client.credential)
    try:
        response = own.obtain(ClientCredentials(), asked)
    finally:
        own.close()
    return _as(response, client.client_id, client.authority.tenant)


def of_resource(authority: Authority, scopes: Scopes) -> Scopes:
    """All permissions of an application for the resource of these scopes (``.default``)."""
    if not scopes.resource:  # a short name at B2C or AD FS names none
        raise ConfigurationError(
            "An application needs a scope of an API; openid, profile, email and offline_access"
            " concern people.",
            code="no_resource",
            hint="Name an API: %token https://graph.microsoft.com/.default",
        )
    default = [f"{scopes.resource}/.default"]
    all_of_them = Scopes.parse(default, microsoft=True, graph=authority.graph)
    return all_of_them.declaring() if scopes.declares else all_of_them


def _asked(authority: Authority, scopes: Scopes) -> Scopes:
    return of_resource(authority, scopes) if authority.microsoft else scopes


def _as(response: TokenResponse, client_id: str, tenant: str) -> TokenResponse:
    who = Principal(f"app:{client_id}@{tenant}", client_id, tenant, application=True)
    return replace(response, refresh_token=None, principal=who)


def _client(
    environ: Mapping[str, str], authority: Authority, credentials: tuple[str, ...]
) -> ServiceClient:
    missing = [name for name in (TENANT, CLIENT) if not environ.get(name)]
    if not any(environ.get(name) for name in credentials):
        missing.append(" or ".join(credentials))
    if missing:
        raise ConfigurationError(
            f"The environment names no service identity: {', '.join(missing)}"
            f" {'are' if len(missing) > 1 else 'is'} not set.",
            code="no_service_identity",
            hint="Set these variables before the kernel starts, or use another flow.",
        )
    tenant = environ[TENANT]
    base = environ.get(AUTHORITY_HOST) or ""
    if base and "://" not in base:
        base = f"https://{base}"
    if base and not is_secure(base):
        raise ConfigurationError(f"{AUTHORITY_HOST} is not an https address.", code="bad_authority")
    return ServiceClient(
        authority.in_tenant(tenant, base), environ[CLIENT], ClientAssertion(lambda: SecretStr(""))
    )


def _unreadable(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The assertion in {path} ({TOKEN_FILE}) cannot be read: {why}.",
        code="no_assertion",
        hint="The platform that issues the assertion writes this file; check that it is mounted.",
    )
