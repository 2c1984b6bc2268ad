"""Two engines with one protocol: ``microsoft`` (MSAL) and ``openid`` (Authlib).

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
    """The engine for this authority. Imports its library, but sends no request.

    ``client_secret`` reads the client secret, if there is one; Microsoft's authorities get none.
    """
    if authority.microsoft:
        from nbauth.oauth.engines.microsoft import MicrosoftEngine

        return MicrosoftEngine(authority, client_id, verify=verify, proxies=proxies)
    from nbauth.oauth.engines.openid import OpenIDEngine

    return OpenIDEngine(
        authority, client_id, verify=verify, proxies=proxies, client_secret=client_secret
    )
