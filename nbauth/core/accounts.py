"""Who is signed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Account:
    """One person (or service) at one authority, as this kernel knows them.

    Attributes:
        username: ``preferred_username`` of the ID token, else ``upn``, ``email`` or ``sub``.
        name: the display name, ``""`` where the provider gives none.
        tenant_id: the directory the tokens come from (a guest's: the guest tenant), ``""`` outside
            Microsoft's authorities.
        home_account_id: ``uid.utid`` at Microsoft's authorities, else the ID token's ``sub``.
        authority: the authority's address.
        profile: the profile it was signed in with.
    """

    username: str
    name: str
    tenant_id: str
    home_account_id: str
    authority: str
    profile: str = "default"

    def __repr__(self) -> str:
        head, at, domain = self.username.partition("@")
        return f"Account({head[:2]}•••{at}{domain}, profile={self.profile!r})"
