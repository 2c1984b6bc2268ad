"""Authorities: their kinds, addresses and restrictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from nbauth.core.addresses import is_loopback
from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.flow_names import DEVICE
from nbauth.core.settings import Settings
from nbauth.oauth.clouds import CLOUDS, LOGIN_HOSTS

Kind = Literal["entra", "b2c", "external-id", "adfs", "oidc"]

WELL_KNOWN = "/.well-known/openid-configuration"
"""OpenID Connect Discovery §4."""
OAUTH_WELL_KNOWN = "/.well-known/oauth-authorization-server"
"""RFC 8414 §3."""
GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of personal Microsoft accounts."""
PERSONAL = frozenset({"common", "consumers", CONSUMERS})
"""Tenants at which a user may have a personal Microsoft account."""
SEVERAL = PERSONAL | {"organizations"}
"""Tenants that do not name one organisation."""
_TENANT = re.compile(rf"(?:{GUID}|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)")
_TENANT_PATH = re.compile(rf"/({GUID}|common|organizations|consumers)(?:/v2\.0)?/?")


@dataclass(frozen=True)
class Authority:
    """A checked authority. ``url`` has the form that its engine expects, without a trailing slash.

    ``metadata_url`` and ``endpoints`` (pairs of name and address) are set by a profile for a
    provider whose metadata is not at its issuer.
    """

    kind: Kind
    url: str
    tenant: str = ""
    cloud: str = "public"
    metadata_url: str = ""
    endpoints: tuple[tuple[str, str], ...] = ()

    @property
    def described(self) -> bool:
        """Whether a sign-in is possible without the provider's metadata."""
        names = {name for name, _ in self.endpoints}
        begins = names & {"authorization_endpoint", "device_authorization_endpoint"}
        return "token_endpoint" in names and bool(begins)

    @property
    def microsoft(self) -> bool:
        """Whether Microsoft's scope grammar and MSAL are used."""
        return self.kind != "oidc"

    @property
    def graph(self) -> str:
        """The Graph root of its cloud, which is also the prefix of short scope names."""
        return CLOUDS[self.cloud].graph

    @property
    def hosts(self) -> Mapping[str, str]:
        """The built-in API hosts: only for Entra at one of Microsoft's own login hosts."""
        known = self.kind == "entra" and urlsplit(self.url).hostname in LOGIN_HOSTS
        return CLOUDS[self.cloud].hosts if known else {}

    def in_tenant(self, tenant: str, base: str = "") -> Authority:
        """The authority of another tenant in this cloud, or at the login host ``base``.

        Raises ``ConfigurationError`` for a text that is no tenant.
        """
        of_tenant = _of_tenant(tenant, self.cloud)
        if base and urlsplit(base).hostname in LOGIN_HOSTS:
            return parse(f"{base.rstrip('/')}/{tenant}", self.cloud)
        own = base or self.url.removesuffix(f"/{self.tenant}")
        return replace(of_tenant, url=f"{own.rstrip('/')}/{tenant}")

    def refuse_accounts_of_any_tenant(self, flow: str) -> None:
        """Raise ``FlowUnavailable`` at an authority that has personal accounts.

        For flows that take a user's password or Kerberos ticket: Entra refuses them for personal
        accounts (AADSTS90010), and nbauth refuses them before anything is sent.

        Args:
            flow: what the message calls the flow, for example "Sign-in with a password".
        """
        if self.kind == "entra" and self.tenant.lower() in PERSONAL:
            raise FlowUnavailable(
                f"{flow} is not possible at the authority {self.tenant}, which has personal"
                " Microsoft accounts too. Nothing was sent.",
                code="no_tenant",
                hint="Set your tenant: %login --tenant contoso.com, or --tenant organizations. Or"
                f" sign in by device code: %login --flow {DEVICE}.",
                suggested_flow=DEVICE,
            )

    def require_one_tenant(self, flow: str) -> None:
        """Raise ``ConfigurationError`` at an authority of several tenants.

        For flows of an application without a user: nothing else in the request names the tenant.

        Args:
            flow: as for :meth:`refuse_accounts_of_any_tenant`.
        """
        if self.kind == "entra" and self.tenant.lower() in SEVERAL:
            raise ConfigurationError(
                f"{flow} needs one tenant, but the authority is {self.tenant}.",
                code="no_tenant",
                hint="Set tenant (or AZURE_TENANT_ID) to the GUID or domain of the tenant.",
            )

    def refuse_prompt(self, prompt: str | None) -> None:
        """Raise ``ConfigurationError`` for a prompt that this authority does not support."""
        if self.kind == "b2c" and prompt == "create":
            raise ConfigurationError(
                "Azure AD B2C does not support prompt=create.",
                code="bad_prompt",
                hint="Use the sign-up policy's authority instead.",
            )
        if self.kind == "b2c" and prompt and "edit" in self.url.rpartition("/")[2].lower():
            raise ConfigurationError(
                "An edit-profile policy of Azure AD B2C does not support a prompt.",
                code="bad_prompt",
                hint="Remove --prompt.",
            )


def authority_from(settings: Settings) -> Authority:
    """The authority in the settings; ``authority`` overrides ``cloud`` and ``tenant``.

    Raises ``ConfigurationError`` for an invalid address, and for settings that Microsoft's
    authorities do not use.
    """
    if settings.authority:
        found = parse(settings.authority, settings.cloud)
    else:
        found = _of_tenant(settings.tenant or "common", settings.cloud)
    written = {name for name, _ in settings.endpoints}
    written |= {"metadata_url"} if settings.metadata_url else set()
    if written and not _is_microsofts(found):  # even if its path looks like Microsoft's
        return Authority(
            "oidc",
            _issuer(_split(settings.authority or "")),
            metadata_url=settings.metadata_url or "",
            endpoints=settings.endpoints,
        )
    if written:
        raise ConfigurationError(
            f"{', '.join(sorted(written))} cannot be set for {found.url}: Microsoft's authorities"
            " publish their metadata.",
            code="bad_authority",
            hint="Set authority to the issuer of these addresses, or remove them.",
        )
    if settings.client_secret_from and found.microsoft:
        raise ConfigurationError(
            "nbauth sends no client secret to Microsoft's authorities: a sign-in there uses a"
            f" public client (client_secret_from: {settings.source('client_secret_from')}).",
            code="bad_authority",
            hint="Remove client_secret_from, and allow public client flows in the app"
            " registration.",
        )
    return found


def _of_tenant(tenant: str, cloud: str) -> Authority:
    if not _TENANT.fullmatch(tenant):
        raise ConfigurationError(
            f"{tenant!r} is not a tenant. A tenant is a GUID, a domain such as contoso.com, or"
            " common, organizations or consumers.",
            code="bad_tenant",
        )
    return Authority("entra", f"https://{CLOUDS[cloud].login_host}/{tenant}", tenant, cloud)


def _is_microsofts(authority: Authority) -> bool:
    host = urlsplit(authority.url).hostname or ""
    return host in LOGIN_HOSTS or host.endswith((".b2clogin.com", ".ciamlogin.com"))


def _issuer(parts: SplitResult) -> str:
    path = parts.path.removeprefix(OAUTH_WELL_KNOWN)
    path = path.removesuffix(OAUTH_WELL_KNOWN).removesuffix(WELL_KNOWN).rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def parse(address: str, cloud: str = "public") -> Authority:
    """Determine the kind of an authority from its address.

    Microsoft's hosts are known by name. At other hosts, the path ``/<tenant GUID>`` (or
    ``/common``, ``/organizations``, ``/consumers``), with or without ``/v2.0``, has the form of
    Microsoft's v2.0 endpoints and is treated as such. Any other address, and any http address on
    loopback, is an OpenID Connect issuer.
    """
    parts = _split(address)
    if parts.scheme == "http":
        return Authority("oidc", _issuer(parts))
    host, path = (parts.hostname or "").lower(), parts.path
    base = f"https://{parts.netloc.lower()}"
    segments = [segment for segment in path.split("/") if segment]
    if segments[-1:] == ["v2.0"] and (
        host in LOGIN_HOSTS or host.endswith(".b2clogin.com") or _TENANT_PATH.fullmatch(path)
    ):
        segments.pop()
    if host in LOGIN_HOSTS:
        if len(segments) != 1 or not _TENANT.fullmatch(segments[0]):
            raise ConfigurationError(
                f"{address} contains no tenant.",
                code="bad_authority",
                hint=f"Write {base}/<tenant GUID or domain>, or {base}/common.",
            )
        known = LOGIN_HOSTS[host]
        cloud = "dod" if cloud == "dod" and known == "usgov" else known
        return Authority("entra", f"{base}/{segments[0]}", segments[0], cloud)
    if host.endswith(".b2clogin.com"):
        if segments[:1] == ["tfp"]:
            segments = segments[1:]
        if len(segments) != 2:
            raise ConfigurationError(
                f"{address} contains no user flow.",
                code="bad_authority",
                hint=f"Write {base}/<tenant>.onmicrosoft.com/<policy>.",
            )
        return Authority("b2c", f"{base}/{'/'.join(segments)}", segments[0])
    if host.endswith(".ciamlogin.com"):
        tenant = segments[0] if segments else f"{host.split('.')[0]}.onmicrosoft.com"
        return Authority("external-id", f"{base}/{tenant}", tenant)
    if [segment.lower() for segment in segments] == ["adfs"]:
        return Authority("adfs", f"{base}/adfs")
    if len(segments) == 1 and _TENANT_PATH.fullmatch(path):
        return Authority("entra", f"{base}/{segments[0]}", segments[0], cloud)
    return Authority("oidc", _issuer(parts))


def _split(address: str) -> SplitResult:
    shown = "The setting authority" if "@" in address else repr(address)  # may have a password
    try:
        parts = urlsplit(address.strip())
        _ = parts.port  # raises for an invalid port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            f"{shown} is not https: tokens would be sent unencrypted.",
            code="bad_authority",
            hint="Use the https:// address; for a private CA, set verify to its file. http is"
            " allowed only for a server on this machine (http://localhost:8080).",
        )
    extra = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in {"https", "http"} or not parts.hostname or extra:
        raise ConfigurationError(
            f"{shown} is not the address of an authority.",
            code="bad_authority",
            hint="Write an address such as https://login.microsoftonline.com/contoso.com or"
            " https://id.example.",
        )
    return parts
