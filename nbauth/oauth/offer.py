"""What a provider offers, for the doctor's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
