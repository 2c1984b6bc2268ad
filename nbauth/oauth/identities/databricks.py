"""The identity of a Databricks notebook, by Databricks' unified authentication.

Documented in "Databricks SDK for Python: Authentication": without arguments, the SDK uses the
notebook's own sign-in, or what the ``DATABRICKS_*`` variables name. The Databricks Runtime contains
the SDK.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from nbauth.core.errors import TokenError
from nbauth.core.flow_names import DATABRICKS
from nbauth.core.text import plain
from nbauth.core.tokens import Principal
from nbauth.oauth.identities.protocol import IdentityToken


class Databricks:
    """See :class:`.protocol.Identity`."""

    name = DATABRICKS
    detail = "Databricks' unified authentication: the identity of a Databricks notebook"

    @property
    def issuers(self) -> Sequence[str]:
        """The workspace, by its issuer of OAuth tokens or by its address."""
        host = self._host()
        return (f"{host}/oidc", host) if host else ("a Databricks workspace",)

    def available(self) -> bool:
        named = os.environ.get("DATABRICKS_RUNTIME_VERSION") or os.environ.get("DATABRICKS_HOST")
        return bool(named) and _has_sdk()

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        from databricks.sdk import WorkspaceClient  # type: ignore[import-not-found, unused-ignore]

        client = WorkspaceClient()
        scheme, _, token = str(client.config.authenticate().get("Authorization", "")).partition(" ")
        if scheme != "Bearer":
            raise TokenError("Databricks' own sign-in has no bearer token.", code="no_token")
        user = client.current_user.me()
        name = plain(user.user_name or user.id or "unnamed")
        return IdentityToken(token, None, Principal(plain(user.id or name), name))

    def _host(self) -> str:
        if not self.available():
            return ""
        from databricks.sdk.core import Config  # type: ignore[import-not-found, unused-ignore]

        config: Any = Config()
        return str(config.host or "").rstrip("/")


def _has_sdk() -> bool:
    try:
        return find_spec("databricks.sdk") is not None
    except ModuleNotFoundError:
        return False
