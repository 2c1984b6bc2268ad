"""The identity of a notebook in Microsoft Fabric or Azure Synapse.

Documented in "NotebookUtils credentials utilities for Fabric", "NotebookUtils runtime context" and
"Introduction to Microsoft Spark utilities" (Synapse).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from nbauth.core.errors import FlowUnavailable, TokenError
from nbauth.core.flow_names import FABRIC
from nbauth.core.text import plain
from nbauth.core.tokens import Principal
from nbauth.oauth.identities.protocol import ENTRA, IdentityToken

MODULES = ("notebookutils", "mssparkutils")
_STORAGE, _VAULT = "https://storage.azure.com", "https://vault.azure.net"
_FABRIC = {
    _STORAGE: "storage",
    _VAULT: "keyvault",
    "https://analysis.windows.net/powerbi/api": "pbi",
    "https://api.fabric.microsoft.com": "pbi",
    "https://kusto.kusto.windows.net": "kusto",
}
"""Fabric's key of each audience."""
_SYNAPSE = {
    _STORAGE: "Storage",
    _VAULT: "Vault",
    "https://management.azure.com/": "AzureManagement",
    "https://management.azure.com": "AzureManagement",
    "https://database.windows.net": "DW",
    "https://dev.azuresynapse.net": "Synapse",
}
"""Synapse's key of each audience."""


class Fabric:
    """See :class:`.protocol.Identity`. The module is there before nbauth is imported."""

    name = FABRIC
    detail = "notebookutils.credentials.getToken: the identity of a Fabric or Synapse notebook"
    issuers = (ENTRA,)

    def available(self) -> bool:
        return any(name in sys.modules for name in MODULES)

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        if claims is not None:
            raise FlowUnavailable(
                "The notebook's own identity cannot answer a claims challenge.",
                hint="Sign in yourself: %login --flow device.",
            )
        runtime = next(sys.modules[name] for name in MODULES if name in sys.modules)
        context = _context(runtime)
        keys = _FABRIC if context else _SYNAPSE
        resource = scopes[0].removesuffix("/.default")
        if resource not in keys:
            raise FlowUnavailable(
                f"The notebook's own identity gives no token for {plain(resource)}.",
                code="no_audience",
                hint=f"It gives tokens for {', '.join(sorted(keys))}. For another API, sign in"
                " yourself: %login --flow device.",
            )
        token = runtime.credentials.getToken(keys[resource])
        if not token:
            raise TokenError(f"getToken({keys[resource]!r}) returned nothing.")
        return IdentityToken(str(token), None, _who(runtime, context, tenant))


def _context(runtime: Any) -> Mapping[str, Any]:
    """Fabric's ``runtime.context``; Synapse has none."""
    found = getattr(getattr(runtime, "runtime", None), "context", None)
    return found if isinstance(found, Mapping) else {}


def _who(runtime: Any, context: Mapping[str, Any], tenant: str) -> Principal:
    """The user, by Fabric's context or Synapse's ``env``."""
    env: Any = getattr(runtime, "env", None)
    ident = context.get("userId") or (env.getUserId() if hasattr(env, "getUserId") else "")
    name = context.get("userName") or (env.getUserName() if hasattr(env, "getUserName") else "")
    shown = plain(name or ident or "notebook identity")
    return Principal(plain(ident or shown).casefold(), shown, tenant)
