"""One protocol, two engines: ``microsoft`` (MSAL) and ``openid`` (Authlib).

Only this folder imports msal and authlib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nbauth.core.secret import SecretStr
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import Engine


def engine_for(
    authority: Authority,
    client_id: str,
    *,
    verify: bool | str | None = None,
    proxies: Mapping[str, str] | None = None,
    client_secret: Callable[[], SecretStr] | None = None,
) -> Engine:
    """The engine that speaks with this authority. Imports its library; asks no network.

    ``client_secret`` reads the client's secret, where it has one: none goes to Microsoft's
    authorities.
    """
    if authority.microsoft:
        from nbauth.oauth.engines.microsoft import MicrosoftEngine

        return MicrosoftEngine(authority, client_id, verify=verify, proxies=proxies)
    from nbauth.oauth.engines.openid import OpenIDEngine

    return OpenIDEngine(
        authority, client_id, verify=verify, proxies=proxies, client_secret=client_secret
    )
