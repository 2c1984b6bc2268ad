"""The sign-in of the Azure CLI: its command gives a token, and says whose it is.

nbauth does not read the files of the tool.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nbauth.core.errors import FlowUnavailable, TokenError
from nbauth.core.flow_names import AZURE_CLI
from nbauth.core.text import plain
from nbauth.core.tokens import Principal
from nbauth.oauth.identities.protocol import ENTRA, IdentityToken
from nbauth.oauth.identities.tool import Tool, checked

AZ = Tool("az", "Azure CLI", "az login", "https://aka.ms/azure-cli")
DEFAULT = "/.default"


class AzureCli:
    """See :class:`.protocol.Identity`."""

    name = AZURE_CLI
    detail = "az account get-access-token: the sign-in of the Azure CLI"
    issuers = (ENTRA,)

    def available(self) -> bool:
        return bool(AZ.path())

    def missing(self) -> FlowUnavailable:
        return AZ.missing()

    def has_signed_in(self, environ: Mapping[str, str]) -> bool:
        """Whether the tool is installed and has been used: its file exists. It is not read."""
        folder = environ.get("AZURE_CONFIG_DIR")
        place = Path(folder) if folder else Path(os.path.expanduser("~"), ".azure")
        try:
            return self.available() and (place / "azureProfile.json").is_file()
        except OSError:
            return False

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        resource = scopes[0].removesuffix(DEFAULT)
        checked(resource, tenant)
        if claims is not None:  # the command has no option for them
            challenge = base64.b64encode(claims.encode()).decode()
            words = [AZ.login, *(("--tenant", tenant) if tenant else ()), "--scope", scopes[0]]
            raise AZ.needs_person(
                "The API requires a new sign-in in the Azure CLI.",
                " ".join([*words, "--claims-challenge", challenge]),
            )
        account = AZ.run("account", "show", "--output", "json")
        asked = ("--tenant", tenant) if tenant else ()
        command = ("account", "get-access-token", "--output", "json", "--resource", resource)
        answer = AZ.run(*command, *asked)
        token, expires_on = answer.get("accessToken"), _expires_on(answer)
        if not isinstance(token, str) or not token or expires_on is None:
            raise TokenError(
                "The Azure CLI printed no token with its expiry.",
                code="tool_not_understood",
                hint="Update the Azure CLI: az upgrade",
            )
        return IdentityToken(token, expires_on, _who(account, answer))


def _who(account: Mapping[str, Any], answer: Mapping[str, Any]) -> Principal:
    user = account.get("user")
    user = user if isinstance(user, dict) else {}
    name = plain(user.get("name") or "unnamed")
    kind = plain(user.get("type") or "user")
    tenant = plain(answer.get("tenant") or account.get("tenantId") or "")
    return Principal(f"{kind}:{name.casefold()}@{tenant}", name, tenant, kind != "user")


def _expires_on(answer: Mapping[str, Any]) -> float | None:
    """``expires_on`` in epoch seconds; before version 2.54 only ``expiresOn``, in local time."""
    try:
        if answer.get("expires_on") is not None:
            return float(answer["expires_on"])
        return datetime.fromisoformat(str(answer.get("expiresOn"))).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
