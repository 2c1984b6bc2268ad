"""Reads the WS-MetadataExchange document of a federation server such as AD FS.

Names of bindings and addresses differ between servers. An endpoint's kind is therefore determined
by the policy of its binding (WS-SecurityPolicy), and its version by its SOAP action.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlsplit

from nbauth.core.addresses import is_secure
from nbauth.oauth.federation.namespaces import (
    ADDRESSING,
    NEGOTIATE,
    POLICY,
    SECURITY_POLICIES,
    SOAP_OVER_HTTP,
    TRUST_13,
    TRUST_2005,
    UTILITY,
    WSDL,
    WSDL_SOAP12,
)
from nbauth.oauth.federation.xml_document import Element

_P = f"{{{POLICY}}}"
_A = f"{{{ADDRESSING}}}"


class Version(Enum):
    """Versions of WS-Trust; the value is its namespace."""

    V13 = TRUST_13
    V2005 = TRUST_2005

    @property
    def action(self) -> str:
        """The SOAP action of a request for a security token."""
        return f"{self.value}/RST/Issue"


class Kind(Enum):
    """What the client authenticates with at an endpoint."""

    USERNAME = auto()
    """A user name and password in the message (``usernamemixed``)."""
    WINDOWS = auto()
    """HTTP Negotiate (``windowstransport``)."""


@dataclass(frozen=True)
class Endpoint:
    """A WS-Trust endpoint."""

    kind: Kind
    version: Version
    address: str


def is_safe(address: str) -> bool:
    """Whether a password may go to this address that a server has sent: https, without user name.

    Unlike elsewhere, http on loopback is not allowed: no organisation's server is on this machine,
    and another user of it may listen there.
    """
    parts = urlsplit(address) if is_secure(address) else None
    return parts is not None and parts.scheme == "https" and "@" not in parts.netloc


def endpoint_in(root: Element, kind: Kind) -> Endpoint | None:
    """The best endpoint of this kind: WS-Trust 1.3 if there is one, else 2005; https only."""
    found = [one for one in _endpoints(root) if one.kind is kind]
    return next((one for version in Version for one in found if one.version is version), None)


def _endpoints(root: Element) -> Iterator[Endpoint]:
    kinds = _policies(root)
    bindings = {
        name: (kind, version)
        for binding in root.inside(f"{WSDL}binding")
        if (name := binding.attributes.get("name"))
        and (kind := _kind_of(binding, kinds))
        and (version := _version_of(binding))
    }
    for port in root.inside(f"{WSDL}service", f"{WSDL}port"):
        binding = bindings.get(port.attributes.get("binding", "").rpartition(":")[2])
        address = port.text_at(f"{_A}EndpointReference", f"{_A}Address")
        if binding and is_safe(address):
            yield Endpoint(*binding, address)


def _policies(root: Element) -> dict[str, Kind]:
    """The kind that each policy demands, by the policy's reference."""
    found = {}
    for policy in root.inside(f"{_P}Policy"):
        reference = policy.attributes.get(f"{{{UTILITY}}}Id")
        for every in policy.inside(f"{_P}ExactlyOne", f"{_P}All"):
            if reference and (kind := _kind_demanded(every)):
                found[f"#{reference}"] = kind
    return found


def _kind_demanded(every: Element) -> Kind | None:
    """The kind that a policy alternative demands; ``None`` without TLS or for another kind."""
    names = {child.name for child in every.children}
    if not any(f"{namespace}TransportBinding" in names for namespace in SECURITY_POLICIES):
        return None
    if NEGOTIATE in names:
        return Kind.WINDOWS
    tokens = {
        token.name
        for namespace in SECURITY_POLICIES
        for carrier in ("SignedEncryptedSupportingTokens", "SignedSupportingTokens")
        for token in every.inside(f"{namespace}{carrier}", f"{_P}Policy", "*")
    }
    if any(f"{namespace}UsernameToken" in tokens for namespace in SECURITY_POLICIES):
        return Kind.USERNAME
    return None


def _kind_of(binding: Element, kinds: dict[str, Kind]) -> Kind | None:
    references = binding.inside(f"{_P}PolicyReference")
    return next((kinds[r] for p in references if (r := p.attributes.get("URI", "")) in kinds), None)


def _version_of(binding: Element) -> Version | None:
    soap = binding.first(f"{WSDL_SOAP12}binding")
    if soap is None or soap.attributes.get("transport") != SOAP_OVER_HTTP:
        return None
    operations = binding.inside(f"{WSDL}operation", f"{WSDL_SOAP12}operation")
    actions = {operation.attributes.get("soapAction") for operation in operations}
    return next((version for version in Version if version.action in actions), None)
