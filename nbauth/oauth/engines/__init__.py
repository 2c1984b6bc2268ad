"""Two engines with one protocol: ``microsoft`` (MSAL) and ``openid`` (Authlib).

Only this folder imports msal and authlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbauth.oauth.authorities import Authority
    from nbauth.oauth.credentials import ClientCredential
    from nbauth.oauth.engines.protocol import Engine


def engine_for(
    authority: Authority,
    client_id: str,
    *,
    verify: bool | str | None = None,
    proxies: Mapping[str, str] | None = None,
    credential: ClientCredential | None = None,
) -> Engine:
    """The engine for this authority. Imports its library, but sends no request.

    ``credential``: of a confidential client; ``None`` for a public client.
    """
    if authority.microsoft:
        from nbauth.oauth.engines.microsoft import MicrosoftEngine as Chosen
    else:
        from nbauth.oauth.engines.openid import OpenIDEngine as Chosen  # type: ignore[assignment]
    return Chosen(authority, client_id, verify=verify, proxies=proxies, credential=credential)
