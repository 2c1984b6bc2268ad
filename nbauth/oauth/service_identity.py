"""The service identity that the environment names, by the variables of the Azure SDKs.

The variables are documented in the Azure SDK's "Environment variables" of ``azure-identity``, and
for managed identities in "Managed identities for App Service and Azure Functions". A metadata
endpoint that no variable names is never contacted unless the flow is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from nbauth.core.addresses import is_secure
from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.flow_names import APP, MANAGED_IDENTITY, WORKLOAD_IDENTITY
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Principal, TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.clouds import LOGIN_HOSTS
from nbauth.oauth.credentials import (
    Certificate,
    ClientAssertion,
    ClientCredential,
    ClientSecret,
    assertion_in,
)
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.engines.token_requests import ClientCredentials
from nbauth.oauth.error_catalogue import of_application

TENANT, CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
SECRET, CERTIFICATE = "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"
CERTIFICATE_PASSWORD = "AZURE_CLIENT_CERTIFICATE_PASSWORD"
SEND_CHAIN = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"
TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"
AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"
POD_HOST, CLOUD_SHELL = "AZURE_POD_IDENTITY_AUTHORITY_HOST", "AZUREPS_HOST_ENVIRONMENT"
ENDPOINTS = (
    ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"),
    ("MSI_ENDPOINT", "MSI_SECRET"),
    ("IDENTITY_ENDPOINT", "IMDS_ENDPOINT"),
    ("MSI_ENDPOINT", CLOUD_SHELL),
    (POD_HOST,),
)
"""Variables that name the endpoint of a managed identity: App Service, Functions and Service
Fabric; Azure ML; Azure Arc; Cloud Shell; another address of a VM's endpoint."""


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
    if environ.get(TENANT) and environ.get(CLIENT) and _has_host(environ, authority):
        if environ.get(SECRET) or environ.get(CERTIFICATE):
            return APP
        if environ.get(TOKEN_FILE):
            return WORKLOAD_IDENTITY
    return MANAGED_IDENTITY if endpoint_variables(environ) else ""


def endpoint_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that name the endpoint of a managed identity; empty if there are none."""
    return next((names for names in ENDPOINTS if all(map(environ.get, names))), ())


def check_entra(authority: Authority) -> None:
    """Raise ``ConfigurationError`` unless the Azure SDKs' variables are for this authority."""
    if authority.kind != "entra":
        raise ConfigurationError(
            "The service identities of the Azure SDKs' variables are for Entra ID, and"
            f" {authority.url} is another provider.",
            code="no_service_identity",
            hint="Use --flow app with client_secret_from, client_certificate or"
            " client_assertion_file in the profile.",
        )


def _has_host(environ: Mapping[str, str], authority: Authority) -> bool:
    """Whether it is certain where the credential may be sent: a login host of Microsoft's, or the
    host that the environment names."""
    own = urlsplit(authority.url).hostname in LOGIN_HOSTS
    return own or bool(environ.get(AUTHORITY_HOST))


def application_in(environ: Mapping[str, str], authority: Authority) -> ServiceClient:
    """The application with a secret or a certificate. Raises ``ConfigurationError``."""
    own, client_id = _client(environ, authority, (SECRET, CERTIFICATE))
    if environ.get(SECRET):
        return ServiceClient(own, client_id, ClientSecret(lambda: SecretStr(environ[SECRET])))
    password = environ.get(CERTIFICATE_PASSWORD)
    certificate = Certificate(
        environ[CERTIFICATE],
        password=(lambda: SecretStr(password)) if password else None,
        send_chain=environ.get(SEND_CHAIN, "").lower() in {"1", "true"},
    )
    return ServiceClient(own, client_id, certificate)


def workload_in(environ: Mapping[str, str], authority: Authority) -> ServiceClient:
    """The workload identity, whose assertion file is read each time it is used.

    Raises ``ConfigurationError``.
    """
    own, client_id = _client(environ, authority, (TOKEN_FILE,))
    path = environ[TOKEN_FILE]
    credential = ClientAssertion(lambda: assertion_in(path, TOKEN_FILE))
    return ServiceClient(own, client_id, credential)


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
        return _obtained(engine, asked)
    own = engine.as_client(client.client_id, client.authority, client.credential)
    try:
        return _obtained(own, asked)
    finally:
        own.close()


def _obtained(engine: Engine, asked: AuthorizationRequest) -> TokenResponse:
    authority, client_id = engine.authority, engine.client_id
    try:
        response = engine.obtain(ClientCredentials(), asked)
    except NbAuthError as error:
        told = of_application(error)
        raise told from (error if told is not error else error.__cause__)
    tenant = authority.tenant
    who = Principal(f"app:{client_id}@{tenant}", client_id, tenant, application=True)
    return replace(response, refresh_token=None, principal=who)


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


def _client(
    environ: Mapping[str, str], authority: Authority, credentials: tuple[str, ...]
) -> tuple[Authority, str]:
    """The authority and the client_id of the service identity."""
    check_entra(authority)
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
    if not _has_host(environ, authority):
        raise ConfigurationError(
            f"The variables {TENANT} and {CLIENT} do not say that their credential may be sent to"
            f" {authority.url}.",
            code="no_service_identity",
            hint=f"Set {AUTHORITY_HOST} to the login host of this application.",
        )
    if base and "://" not in base:
        base = f"https://{base}"
    if base and not is_secure(base):
        raise ConfigurationError(f"{AUTHORITY_HOST} is not an https address.", code="bad_authority")
    return authority.in_tenant(tenant, base), environ[CLIENT]
