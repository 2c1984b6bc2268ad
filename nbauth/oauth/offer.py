"""What a provider offers, for the doctor's report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import BROWSER


@dataclass(frozen=True)
class Offer:
    """What a provider offers, according to its metadata and the profile.

    Attributes:
        issuer: the issuer.
        read_at: the metadata's address, ``""`` if only the profile was used.
        scopes: ``scopes_supported``; ``None`` if the metadata has none.
        grants: ``grant_types_supported``; ``None`` if the metadata has none.
        added: the scopes that a sign-in adds to the requested ones.
        endpoints: the valid endpoints, by name.
        faults: a sentence for each invalid endpoint.
        ahead: seconds by which this machine's clock is ahead of the provider's; ``None`` if the
            response had no date.
    """

    issuer: str
    read_at: str = ""
    scopes: tuple[str, ...] | None = None
    grants: tuple[str, ...] | None = None
    added: tuple[str, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    ahead: float | None = None


def check_grant(listed: Collection[str] | None, grant_type: str) -> None:
    """Raise ``FlowUnavailable`` if the metadata lists the grant types, but not this one."""
    if listed is not None and grant_type not in listed:
        raise FlowUnavailable(
            f"This provider does not offer sign-in by this flow: its metadata does not list the"
            f" grant type {grant_type}.",
            hint=f"Use another flow: %login --flow {BROWSER}.",
            suggested_flow=BROWSER,
        )
