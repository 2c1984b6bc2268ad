"""Whom to ask: authorities, national clouds, and the limits of each.

The hosts and addresses are the ones of Microsoft's "National clouds" and "Application
configuration options" documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import Settings

Kind = Literal["entra", "b2c", "external-id", "adfs", "oidc"]

MULTI_TENANT = frozenset({"common", "organizations", "consumers"})
_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TENANT = re.compile(rf"(?:{_GUID}|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)")
_TENANT_PATH = re.compile(rf"/({_GUID}|common|organizations|consumers)(?:/v2\.0)?/?")


@dataclass(frozen=True)
class Cloud:
    """One cloud's addresses; ``hosts`` maps its API hosts to the resource they take tokens for.

    A host that begins with a dot stands for exactly one label before it (a storage account).
    """

    login_host: str
    graph: str
    hosts: Mapping[str, str]


CLOUDS: dict[str, Cloud] = {
    "public": Cloud(
        "login.microsoftonline.com",
        "https://graph.microsoft.com",
        {
            "graph.microsoft.com": "https://graph.microsoft.com",
            "management.azure.com": "https://management.azure.com/",
            ".blob.core.windows.net": "https://storage.azure.com",
            ".dfs.core.windows.net": "https://storage.azure.com",
            ".queue.core.windows.net": "https://storage.azure.com",
            ".table.core.windows.net": "https://storage.azure.com",
            ".file.core.windows.net": "https://storage.azure.com",
            ".vault.azure.net": "https://vault.azure.net",
            ".database.windows.net": "https://database.windows.net",
        },
    ),
    "usgov": Cloud(
        "login.microsoftonline.us",
        "https://graph.microsoft.us",
        {
            "graph.microsoft.us": "https://graph.microsoft.us",
            "management.usgovcloudapi.net": "https://management.usgovcloudapi.net/",
            ".blob.core.usgovcloudapi.net": "https://storage.azure.com",
            ".dfs.core.usgovcloudapi.net": "https://storage.azure.com",
            ".queue.core.usgovcloudapi.net": "https://storage.azure.com",
            ".table.core.usgovcloudapi.net": "https://storage.azure.com",
            ".vault.usgovcloudapi.net": "https://vault.usgovcloudapi.net",
            ".database.usgovcloudapi.net": "https://database.usgovcloudapi.net",
        },
    ),
    "china": Cloud(
        "login.chinacloudapi.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        {
            "microsoftgraph.chinacloudapi.cn": "https://microsoftgraph.chinacloudapi.cn",
            "management.chinacloudapi.cn": "https://management.chinacloudapi.cn/",
            ".blob.core.chinacloudapi.cn": "https://storage.azure.com",
            ".dfs.core.chinacloudapi.cn": "https://storage.azure.com",
            ".queue.core.chinacloudapi.cn": "https://storage.azure.com",
            ".table.core.chinacloudapi.cn": "https://storage.azure.com",
            ".vault.azure.cn": "https://vault.azure.cn",
            ".database.chinacloudapi.cn": "https://database.chinacloudapi.cn",
        },
    ),
}
CLOUDS["dod"] = Cloud(
    "login.microsoftonline.us",
    "https://dod-graph.microsoft.us",
    {
        "dod-graph.microsoft.us": "https://dod-graph.microsoft.us",
        **{host: res for host, res in CLOUDS["usgov"].hosts.items() if "graph" not in host},
    },
)
_LOGIN_HOSTS = {
    "login.microsoftonline.com": "public",
    "login.microsoft.com": "public",
    "login.windows.net": "public",
    "sts.windows.net": "public",
    "login.microsoftonline.us": "usgov",
    "login.usgovcloudapi.net": "usgov",
    "login.chinacloudapi.cn": "china",
    "login.partner.microsoftonline.cn": "china",
}


@dataclass(frozen=True)
class Authority:
    """A checked authority. ``url`` is the form its engine takes, without a trailing slash."""

    kind: Kind
    url: str
    tenant: str = ""
    cloud: str = "public"

    @property
    def microsoft(self) -> bool:
        """Whether Microsoft's grammar of scopes and MSAL apply."""
        return self.kind != "oidc"

    @property
    def graph(self) -> str:
        """The Graph root of its cloud, which is also the prefix of short scope names."""
        return CLOUDS[self.cloud].graph

    @property
    def hosts(self) -> Mapping[str, str]:
        """API hosts built in for it: none outside Entra, nor for another's server of its shape."""
        known = self.kind == "entra" and urlsplit(self.url).hostname in _LOGIN_HOSTS
        return CLOUDS[self.cloud].hosts if known else {}

    def refuse_prompt(self, prompt: str | None) -> None:
        """Raise ``ConfigurationError`` for a prompt this authority cannot serve."""
        if self.kind == "b2c" and prompt == "create":
            raise ConfigurationError(
                "Azure AD B2C has no prompt=create.",
                code="bad_prompt",
                hint="Use the sign-up policy's authority instead.",
            )
        if self.kind == "b2c" and prompt and "edit" in self.url.rpartition("/")[2].lower():
            raise ConfigurationError(
                "An edit-profile policy of Azure AD B2C takes no prompt.",
                code="bad_prompt",
                hint="Leave --prompt out.",
            )


def authority_from(settings: Settings) -> Authority:
    """The authority that the settings name; ``authority`` beats ``cloud`` and ``tenant``.

    Raises ``ConfigurationError`` for an address that cannot be one.
    """
    if settings.authority:
        return parse(settings.authority, settings.cloud)
    tenant = settings.tenant or "common"
    if not _TENANT.fullmatch(tenant):
        raise ConfigurationError(
            f"{tenant!r} is not a tenant: it is a GUID, a domain such as contoso.com, or common,"
            " organizations, consumers.",
            code="bad_tenant",
        )
    cloud = CLOUDS[settings.cloud]
    return Authority("entra", f"https://{cloud.login_host}/{tenant}", tenant, settings.cloud)


def parse(address: str, cloud: str = "public") -> Authority:
    """Tell from its address what kind of authority it is.

    Microsoft's hosts are known by name. Elsewhere the path ``/<tenant GUID>`` (or ``/common``,
    ``/organizations``, ``/consumers``), with or without ``/v2.0``, has the shape of Microsoft's
    v2.0 endpoints and is treated as such; any other address is an OpenID Connect issuer.
    """
    parts = _split(address)
    host, path = (parts.hostname or "").lower(), parts.path
    base = f"https://{parts.netloc.lower()}"
    segments = [segment for segment in path.split("/") if segment]
    if segments[-1:] == ["v2.0"] and (
        host in _LOGIN_HOSTS or host.endswith(".b2clogin.com") or _TENANT_PATH.fullmatch(path)
    ):
        segments.pop()
    if host in _LOGIN_HOSTS:
        if len(segments) != 1 or not _TENANT.fullmatch(segments[0]):
            raise ConfigurationError(
                f"{address} names no tenant.",
                code="bad_authority",
                hint=f"Write {base}/<tenant GUID or domain>, or {base}/common.",
            )
        known = _LOGIN_HOSTS[host]
        cloud = "dod" if cloud == "dod" and known == "usgov" else known
        return Authority("entra", f"{base}/{segments[0]}", segments[0], cloud)
    if host.endswith(".b2clogin.com"):
        if segments[:1] == ["tfp"]:
            segments = segments[1:]
        if len(segments) != 2:
            raise ConfigurationError(
                f"{address} names no user flow.",
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
    return Authority(
        "oidc", base + path.removesuffix("/.well-known/openid-configuration").rstrip("/")
    )


def _split(address: str) -> SplitResult:
    shown = "What authority says" if "@" in address else repr(address)  # it may hold a password
    try:
        parts = urlsplit(address.strip())
        _ = parts.port  # raises for what is no port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme == "http":
        raise ConfigurationError(
            f"{shown} is not https: tokens would cross the network in the clear.",
            code="bad_authority",
            hint="Give the https:// address; a private CA goes into the setting verify.",
        )
    extra = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "https" or not parts.hostname or extra:
        raise ConfigurationError(
            f"{shown} is not the address of an authority.",
            code="bad_authority",
            hint="It looks like https://login.microsoftonline.com/contoso.com or https://id.example.",
        )
    return parts
