"""What a provider offers, as the doctor shows it before anybody signs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Offer:
    """What a provider offers, as its metadata and the profile say.

    Attributes:
        issuer: its name.
        read_at: where its metadata was read, ``""`` where the profile alone describes it.
        scopes: ``scopes_supported``; ``None`` where it does not tell.
        grants: ``grant_types_supported``; ``None`` where it does not tell.
        added: the scopes that a sign-in adds to those of the person.
        endpoints: those that can be used, by name.
        faults: a sentence for each that cannot.
        ahead: seconds by which this machine's clock is ahead of the provider's; ``None`` where the
            answer had no date.
    """

    issuer: str
    read_at: str = ""
    scopes: tuple[str, ...] | None = None
    grants: tuple[str, ...] | None = None
    added: tuple[str, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    ahead: float | None = None
