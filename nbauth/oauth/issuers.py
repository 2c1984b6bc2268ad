"""Checks the issuer in the metadata of a Microsoft authority (OpenID Connect Discovery §4.3).

These issuers have other addresses than their authorities, so they cannot be compared for equality.
The accepted forms are from "Microsoft identity platform and OpenID Connect protocol", from B2C's
"Token compatibility settings", and from AD FS's metadata.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from nbauth.core.errors import ConfigurationError
from nbauth.core.text import plain
from nbauth.oauth.authorities import CONSUMERS, Authority
from nbauth.oauth.authority_forms import CIAM, GUID
from nbauth.oauth.clouds import ISSUER_HOSTS, LOGIN_HOSTS

_ANY = "{tenantid}"
"""Placeholder for the token's tenant, in the issuer of an authority for several tenants."""


def check_issuer(authority: Authority, issuer: object) -> str:
    """Return the issuer if it belongs to this authority. Raises ``ConfigurationError``."""
    if isinstance(issuer, str) and issuer and _is_its_own(authority, issuer):
        return issuer
    belongs = f"the issuer {plain(issuer)}, which does not belong to that authority"
    raise ConfigurationError(
        f"The metadata of {authority.url} names {belongs if issuer else 'no issuer'}.",
        code="issuer_mismatch",
        hint="Check tenant and cloud, and whether a proxy or a captive portal sent this response."
        " For another OpenID provider, set authority to its issuer.",
    )


def _is_its_own(authority: Authority, issuer: str) -> bool:
    try:
        parts, own = urlsplit(issuer), urlsplit(authority.url)
        port, own_port = parts.port or 443, own.port or 443
    except ValueError:
        return False
    host, here = (parts.hostname or "").lower(), (own.hostname or "").lower()
    segments = [segment for segment in parts.path.split("/") if segment]
    if authority.kind == "adfs":  # its issuer may be an http address; nothing is sent to it
        return parts.scheme in {"https", "http"} and host == here and segments[:1] == ["adfs"]
    if parts.scheme != "https" or parts.query or parts.fragment or "@" in parts.netloc:
        return False
    same_host = host == here and port == own_port
    if authority.kind == "b2c":
        known = same_host or (host in ISSUER_HOSTS and port == own_port)
        return known and _is_of_policy(segments, authority)
    if here in LOGIN_HOSTS:
        known = host in ISSUER_HOSTS and port == own_port
    else:  # External ID; at a domain of the organisation, its issuer stays that of the tenant
        named = segments[0].lower() if segments and re.fullmatch(GUID, segments[0]) else ""
        known = same_host or (bool(named) and (host, port) == (f"{named}{CIAM}", 443))
    return known and _is_of_tenant(segments, authority.tenant)


def _is_of_tenant(segments: list[str], tenant: str) -> bool:
    """``/<tenant>/v2.0`` or ``/<tenant>``; for a tenant's domain, any GUID is accepted."""
    if not segments or segments[1:] not in ([], ["v2.0"]):
        return False
    named, tenant = segments[0].lower(), tenant.lower()
    if tenant in {"common", "organizations"}:
        return named == _ANY
    if tenant == "consumers":
        return named in {_ANY, CONSUMERS}
    if re.fullmatch(GUID, tenant):
        return named == tenant
    return named == tenant or bool(re.fullmatch(GUID, named))


def _is_of_policy(segments: list[str], authority: Authority) -> bool:
    """``/<tenant GUID>/v2.0``, or ``/tfp/<tenant GUID>/<policy>/v2.0``."""
    tenant, policy = (part.lower() for part in urlsplit(authority.url).path.split("/")[1:3])
    if segments[:1] == ["tfp"]:
        if [part.lower() for part in segments[2:3]] != [policy]:
            return False
        segments = [segments[1], *segments[3:]]
    return _is_of_tenant(segments, tenant)
