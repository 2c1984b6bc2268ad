"""The addresses of authorities: what an address says about its kind, tenant and cloud."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from nbauth.core.addresses import is_loopback
from nbauth.core.errors import ConfigurationError
from nbauth.oauth.clouds import B2C_HOSTS, CLOUDS, LOGIN_HOSTS

Kind = Literal["entra", "b2c", "external-id", "adfs", "oidc"]

WELL_KNOWN = "/.well-known/openid-configuration"
"""OpenID Connect Discovery §4."""
OAUTH_WELL_KNOWN = "/.well-known/oauth-authorization-server"
"""RFC 8414 §3."""
CIAM = ".ciamlogin.com"
"""The end of External ID's host names."""
GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TENANT = re.compile(rf"(?:{GUID}|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)")
_ONMICROSOFT = r"[A-Za-z0-9-]+\.(?:partner\.)?onmicrosoft\.(?:com|us|cn)"
_TENANT_PATH = re.compile(rf"({GUID}|common|organizations|consumers|{_ONMICROSOFT})")
_POLICY = re.compile(r"b2c_1a?_.+", re.I)
"""The names of B2C's user flows and custom policies begin like this."""


class Form(NamedTuple):
    """What an address says; the fields are those of ``Authority``."""

    kind: Kind
    url: str
    tenant: str = ""
    cloud: str = "public"


def is_tenant(text: str) -> bool:
    """Whether the text has the form of a tenant's GUID, domain or alias."""
    return _TENANT.fullmatch(text) is not None


def check_tenant(text: str) -> None:
    """Raise ``ConfigurationError`` for a text that is no tenant."""
    if not is_tenant(text):
        raise ConfigurationError(
            f"{text!r} is not a tenant. A tenant is a GUID, a domain such as contoso.com, or"
            " common, organizations or consumers.",
            code="bad_tenant",
        )


def of_tenant(tenant: str, cloud: str) -> Form:
    """The authority of a tenant in a cloud."""
    tenant = tenant.lower()
    return Form("entra", f"https://{CLOUDS[cloud].login_host}/{tenant}", tenant, cloud)


def is_microsofts_host(host: str) -> bool:
    """Whether a host belongs to Microsoft: a login host, or one of B2C or External ID."""
    return host in LOGIN_HOSTS or host.endswith((*B2C_HOSTS, CIAM))


def form_of(address: str, cloud: str) -> Form:
    """See ``authorities.parse``."""
    parts = split(address)
    if parts.scheme == "http":
        return Form("oidc", issuer(parts))
    host = (parts.hostname or "").lower()
    base = f"https://{parts.netloc.lower()}"
    segments = [segment for segment in parts.path.split("/") if segment]
    whole = len(segments)
    if segments[-1:] == ["v2.0"]:
        segments.pop()
    b2c = next((end for end in B2C_HOSTS if host.endswith(end)), "")
    if host in LOGIN_HOSTS:
        return _at_login_host(address, parts, segments, cloud)
    if b2c:
        return _of_policy(address, base, segments, B2C_HOSTS[b2c])
    if host.endswith(CIAM):
        tenant = segments[0] if segments else f"{host.split('.')[0]}.onmicrosoft.com"
        return Form("external-id", f"{base}/{tenant.lower()}", tenant.lower())
    if _has_policy(segments):  # at an organisation's own domain
        return _of_policy(address, base, segments, cloud)
    if [segment.lower() for segment in segments] == ["adfs"] and whole == 1:
        return Form("adfs", f"{base}/adfs")
    if len(segments) == 1 and _TENANT_PATH.fullmatch(segments[0]):
        tenant = segments[0].lower()
        return Form("entra", f"{base}/{tenant}", tenant, cloud)
    return Form("oidc", issuer(parts))


def _at_login_host(address: str, parts: SplitResult, segments: list[str], cloud: str) -> Form:
    """An address at one of Microsoft's login hosts. All hosts of a cloud are one authority: Entra
    documents them as aliases, and an account must not depend on which of them was typed."""
    host = (parts.hostname or "").lower()
    known = LOGIN_HOSTS[host]
    base = f"https://{parts.netloc.lower()}"
    if parts.port in {None, 443}:
        base = f"https://{CLOUDS[known].login_host}"
    if _has_policy(segments):
        raise ConfigurationError(
            f"{address} is no longer an address of Azure AD B2C.",
            code="bad_authority",
            hint="Write https://<tenant>.b2clogin.com/<tenant>.onmicrosoft.com/<policy>.",
        )
    if len(segments) != 1 or not is_tenant(segments[0]):
        raise ConfigurationError(
            f"{address} contains no tenant.",
            code="bad_authority",
            hint=f"Write {base}/<tenant GUID or domain>, or {base}/common.",
        )
    cloud = "dod" if cloud == "dod" and known == "usgov" else known
    tenant = segments[0].lower()
    return Form("entra", f"{base}/{tenant}", tenant, cloud)


def _has_policy(segments: list[str]) -> bool:
    """Whether a path is ``/<tenant>/<policy>`` or ``/tfp/<tenant>/<policy>`` of Azure AD B2C."""
    if segments[:1] == ["tfp"]:
        segments = segments[1:]
    return len(segments) == 2 and is_tenant(segments[0]) and bool(_POLICY.fullmatch(segments[1]))


def _of_policy(address: str, base: str, segments: list[str], cloud: str) -> Form:
    if segments[:1] == ["tfp"]:
        segments = segments[1:]
    if len(segments) != 2:
        raise ConfigurationError(
            f"{address} contains no user flow.",
            code="bad_authority",
            hint=f"Write {base}/<tenant>.onmicrosoft.com/<policy>.",
        )
    return Form("b2c", f"{base}/{'/'.join(segments)}", segments[0], cloud)


def issuer(parts: SplitResult) -> str:
    """The issuer of an address, which may be the address of the metadata."""
    path = parts.path.removeprefix(OAUTH_WELL_KNOWN)
    path = path.removesuffix(OAUTH_WELL_KNOWN).removesuffix(WELL_KNOWN).rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def split(address: str) -> SplitResult:
    """The parts of an address. Raises ``ConfigurationError`` if no authority can have it."""
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
