"""The lines of ``%token --show``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from nbauth.core.text import visible
from nbauth.core.tokens import AuthenticationResult, Token


def describe(result: AuthenticationResult) -> list[str]:
    """The lines of ``%token --show``, without the token itself."""
    left = round(result.expires_on - time.time())
    return [
        f"account  {result.account.title}",
        f"scopes   {' '.join(result.scopes)}",
        *([f"tenant   {result.tenant_id}"] if result.tenant_id else []),
        f"expires  in {left // 60} min {left % 60} s",
        f"source   {result.source}",
    ]


def describe_id_token(token: Token, claims: Mapping[str, Any]) -> list[str]:
    """The lines of ``%token --id --show``, without the token itself."""
    named = claims.get("aud")
    audience = " ".join(map(str, named if isinstance(named, list) else [named]))
    left = round(token.expires_in)
    return [
        f"account  {token.account.title}",
        f"audience {visible(audience)}",
        f"issuer   {visible(str(claims.get('iss', '')))}",
        f"expires  in {left // 60} min {left % 60} s",
    ]
