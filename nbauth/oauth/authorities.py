"""Authorities: their kinds, addresses and restrictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.flow_names import DEVICE
from nbauth.core.settings import Settings
from nbauth.oauth.authority_forms import (
    Kind,
    check_tenant,
    form_of,
    is_microsofts_host,
    issuer,
    of_tenant,
    split,
)
from nbauth.oauth.clouds import CLOUDS, LOGIN_HOSTS

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of personal Microsoft accounts."""
PERSONAL = frozenset({"common", "consumers", CONSUMERS})
"""Tenants at which a user may have a personal Microsoft account."""
SEVERAL = PERSONAL | {"organizations"}
"""Tenants that do not name one organisation."""
_WITHOUT_PROMPT = re.compile(r"edit|reset", re.I)
"""In the names of B2C's policies that edit a profile or reset a password (B2C_1_edit_profile,
B2C_1A_PasswordReset). Nothing else tells the kind of a policy."""


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
        """The Graph root of its cloud, which is also the prefix of short scope names.

        ``""`` at B2C and AD FS: they issue no tokens for Graph, and their short scope names are
        their own.
        """
        return "" if self.kind in {"b2c", "adfs"} else CLOUDS[self.cloud].graph

    @property
    def hosts(self) -> Mapping[str, str]:
        """The built-in API hosts: only for Entra at one of Microsoft's own login hosts."""
        known = self.kind == "entra" and urlsplit(self.url).hostname in LOGIN_HOSTS
        return CLOUDS[self.cloud].hosts if known else {}

    def in_tenant(self, tenant: str, base: str = "") -> Authority:
        """The authority of another tenant in this cloud, or at the login host ``base``.

        Raises ``ConfigurationError`` for a text that is no tenant.
        """
        check_tenant(tenant)
        if base and urlsplit(base).hostname in LOGIN_HOSTS:
            return parse(f"{base.rstrip('/')}/{tenant}", self.cloud)
        own = base or self.url.removesuffix(f"/{self.tenant}")
        tenant = tenant.lower()
        return Authority("entra", f"{own.rstrip('/')}/{tenant}", tenant, self.cloud)

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
        if self.kind != "b2c" or not prompt:
            return
        if prompt == "create":
            raise ConfigurationError(
                "Azure AD B2C does not support prompt=create.",
                code="bad_prompt",
                hint="Use the sign-up policy's authority instead.",
            )
        if _WITHOUT_PROMPT.search(self.url.rpartition("/")[2]):
            raise ConfigurationError(
                "A policy of Azure AD B2C that edits a profile or resets a password does not"
                " support a prompt.",
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
        tenant = settings.tenant or "common"
        check_tenant(tenant)
        found = Authority(*of_tenant(tenant, settings.cloud))
    written = {name for name, _ in settings.endpoints}
    written |= {"metadata_url"} if settings.metadata_url else set()
    # Even if its path looks like Microsoft's:
    if written and not is_microsofts_host(urlsplit(found.url).hostname or ""):
        return Authority(
            "oidc",
            issuer(split(settings.authority or "")),
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
    return found


def parse(address: str, cloud: str = "public") -> Authority:
    """Determine the kind of an authority from its address.

    Microsoft's hosts are known by name. At other hosts, Microsoft's own domains for customers have
    the same paths: ``/<tenant>/B2C_1_<name>`` of Azure AD B2C, and the path of Entra and External
    ID, ``/<tenant GUID>`` or ``/<name>.onmicrosoft.com`` (or ``/common``, ``/organizations``,
    ``/consumers``), with or without ``/v2.0``. Any other address, and any http address on loopback,
    is an OpenID Connect issuer.
    """
    return Authority(*form_of(address, cloud))
