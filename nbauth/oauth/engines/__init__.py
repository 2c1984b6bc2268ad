"""One protocol, two engines: ``microsoft`` (MSAL) and ``openid`` (Authlib).

Only this folder imports msal and authlib.
"""

from __future__ import annotations

from collections.abc import Mapping

from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import Engine


def engine_for(
    authority: Authority,
    client_id: str,
    *,
    verify: bool | str | None = None,
    proxies: Mapping[str, str] | None = None,
) -> Engine:
    """The engine that speaks with this authority. Imports its library; asks no network."""
    if authority.microsoft:
        from nbauth.oauth.engines.microsoft import MicrosoftEngine

        return MicrosoftEngine(authority, client_id, verify=verify, proxies=proxies)
    from nbauth.oauth.engines.openid import OpenIDEngine

    return OpenIDEngine(authority, client_id, verify=verify, proxies=proxies)
