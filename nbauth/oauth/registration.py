"""What has to be registered at a provider, for the flows that somebody wants to use.

Nothing is sent. ``azure_registration`` and ``client_metadata`` write it down for a provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from nbauth.core.addresses import is_secure
from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import (
    APP,
    BROKER,
    BROWSER,
    CALLBACK,
    DEVICE,
    PASTE,
    WORKLOAD_IDENTITY,
)
from nbauth.core.settings import Settings
from nbauth.core.text import without_user
from nbauth.oauth.authorities import Authority

PASSWORD, IWA, OBO = "password", "iwa", "obo"
FLOWS = (BROWSER, CALLBACK, PASTE, DEVICE, PASSWORD, IWA, BROKER, APP, WORKLOAD_IDENTITY, OBO)
"""The flows that need a registration. The others use an identity that exists already."""
WITHOUT_USER = frozenset({APP, WORKLOAD_IDENTITY})
CONFIDENTIAL = frozenset({APP, OBO})
"""Flows for which the application has a secret or a certificate."""
WITH_CODE = frozenset({BROWSER, CALLBACK, PASTE})
USER_REDIRECT = "hub/user-redirect/nbauth/callback"


@dataclass(frozen=True)
class Plan:
    """One application.

    Attributes:
        flows: at least one of ``FLOWS``.
        hub: the address of the JupyterHub for the flow ``callback``.
        certificate: the path of a certificate, of the options or of the profile.
        federated: issuer and subject of the tokens that ``workload-identity`` presents.
    """

    authority: Authority
    settings: Settings
    flows: tuple[str, ...]
    hub: str = ""
    certificate: str = ""
    federated: tuple[str, str] = ("", "")
    name: str = "nbauth"

    @property
    def public(self) -> bool:
        """Whether it is used by a person without a credential of the application."""
        return bool(set(self.flows) - CONFIDENTIAL - {WORKLOAD_IDENTITY}) and not self._own

    @property
    def has_secret(self) -> bool:
        """Whether it authenticates with a secret."""
        if self.certificate or self.settings.client_assertion_file:
            return False
        return bool(self.settings.client_secret_from) or not CONFIDENTIAL.isdisjoint(self.flows)

    @property
    def _own(self) -> bool:
        """Whether the profile has a credential."""
        settings = self.settings
        named = settings.client_secret_from or settings.client_certificate
        return bool(named or settings.client_assertion_file)

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        """The redirect addresses, each once."""
        host = "localhost" if self.authority.microsoft else "127.0.0.1"
        found: list[str] = []
        for flow in self.flows:
            if flow in {BROWSER, PASTE}:
                found.append(self.settings.loopback_uri or f"http://{host}")
            elif flow == CALLBACK:
                found.append(self._callback())
        return tuple(dict.fromkeys(found))

    def _callback(self) -> str:
        own = self.settings.redirect_uri
        if self.hub:
            return f"{self.hub.rstrip('/')}/{USER_REDIRECT}"
        if own and own != self.settings.loopback_uri:
            return own
        raise ConfigurationError(
            "The flow callback needs the address of the JupyterHub or of the Jupyter server.",
            code="no_hub",
            hint="Add --hub https://hub.example, or set redirect_uri to the address of the server"
            " with /nbauth/callback at its end.",
        )


def plan_for(
    authority: Authority,
    settings: Settings,
    flows: Iterable[str],
    options: Mapping[str, str | None],
) -> Plan:
    """Check what is wanted. Raises ``ConfigurationError``.

    Args:
        options: ``hub``, ``certificate``, ``name``, ``federated_issuer``, ``federated_subject``.
    """
    hub = options.get("hub") or ""
    if hub and (not is_secure(hub) or "@" in hub or urlsplit(hub).query or urlsplit(hub).fragment):
        raise ConfigurationError(
            f"{without_user(hub)!r} is not the address of a JupyterHub.",
            code="bad_address",
            hint="Write an https address such as https://hub.example or https://example/jupyter.",
        )
    wanted = tuple(dict.fromkeys(flows)) or (BROWSER, DEVICE)
    federated = options.get("federated_issuer") or "", options.get("federated_subject") or ""
    if any(federated) and WORKLOAD_IDENTITY not in wanted:
        raise ConfigurationError(
            "A federated issuer or subject belongs to the flow workload-identity.",
            code="bad_option",
            hint="Add --flow workload-identity.",
        )
    if options.get("certificate") and CONFIDENTIAL.isdisjoint(wanted):
        raise ConfigurationError(
            "A certificate belongs to the flows app and obo.",
            code="bad_option",
            hint="Add --flow app, or remove --certificate.",
        )
    certificate = options.get("certificate") or settings.client_certificate or ""
    return Plan(
        authority, settings, wanted, hub, certificate, federated, options.get("name") or "nbauth"
    )
