"""The sign-in of the Azure Developer CLI (azd)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from nbauth.core.errors import FlowUnavailable, TokenError
from nbauth.core.flow_names import AZURE_DEVELOPER_CLI
from nbauth.core.text import plain
from nbauth.core.tokens import Principal
from nbauth.oauth.identities.protocol import ENTRA, IdentityToken
from nbauth.oauth.identities.tool import Tool, checked

AZD = Tool("azd", "Azure Developer CLI", "azd auth login", "https://aka.ms/azd")


class AzureDeveloperCli:
    """See :class:`.protocol.Identity`."""

    name = AZURE_DEVELOPER_CLI
    detail = "azd auth token: the sign-in of the Azure Developer CLI"
    issuers = (ENTRA,)

    def available(self) -> bool:
        return bool(AZD.path())

    def missing(self) -> FlowUnavailable:
        return AZD.missing()

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        checked(scopes[0], tenant)
        who = _who(tenant)
        command = ["auth", "token", "--output", "json", "--no-prompt", "--scope", scopes[0]]
        if tenant:
            command += ["--tenant-id", tenant]
        if claims is not None:  # since version 1.18.1
            command += ["--claims", base64.b64encode(claims.encode()).decode()]
        answer = AZD.run(*command)
        token, expires_on = answer.get("token"), None
        with suppress(ValueError):  # RFC 3339, in UTC
            expires_on = datetime.fromisoformat(str(answer.get("expiresOn"))).timestamp()
        if not isinstance(token, str) or not token or expires_on is None:
            raise TokenError(
                "The Azure Developer CLI printed no token with its expiry.",
                code="tool_not_understood",
                hint="Update the Azure Developer CLI.",
            )
        return IdentityToken(token, expires_on, who)


def _who(tenant: str) -> Principal:
    """The account, by ``azd auth status``. Versions without this command do not say who it is."""
    status: Mapping[str, Any] = {}
    try:
        status = AZD.run("auth", "status", "--output", "json", "--no-prompt")
    except TokenError as error:
        if error.code != "tool_failed":
            raise
    client = plain(status.get("clientId") or "")
    name = plain(status.get("email") or client or "account of azd")
    return Principal(f"{name.casefold()}@{tenant}", name, tenant, bool(client))
