"""A credential of the Azure SDKs as an identity: azure-core's ``TokenCredential`` or
``SupportsTokenInfo``. Nothing of azure-core is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbauth.core.flow_names import CREDENTIAL
from nbauth.core.tokens import Principal
from nbauth.oauth.identities.protocol import ENTRA, IdentityToken


class TokenCredentialIdentity:
    """See :class:`.protocol.Identity`.

    A credential does not say whose tokens it gives. So each object is an account of its own, with
    the name of its class.
    """

    name = CREDENTIAL
    detail = "an object with get_token or get_token_info"
    issuers = (ENTRA,)

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    def available(self) -> bool:
        return True

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        given = self._credential
        options = {"tenant_id": tenant, "claims": claims}
        options = {name: value for name, value in options.items() if value}
        if callable(getattr(given, "get_token_info", None)):
            answer = given.get_token_info(*scopes, options=options)
        else:
            answer = given.get_token(*scopes, **options)
        title = type(given).__name__
        who = Principal(f"{title}:{id(given):x}", title, tenant)
        return IdentityToken(answer.token, float(answer.expires_on), who)
