"""The provider's signing key and the tokens it signs (RFC 7515, RFC 7517, RFC 7519)."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from .grants import Grant
from .scopes import GRAPH, graph_scopes


class Signer:
    """One RS256 key, made at the start of the run."""

    def __init__(self, issuer: str, tenant_id: str) -> None:
        self.issuer = issuer
        self.tenant_id = tenant_id
        self._key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"})
        self._key.ensure_kid()

    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK Set (RFC 7517 section 5)."""
        return {"keys": [self._key.as_dict(private=False)]}

    def id_token(self, grant: Grant, expires_in: int) -> str:
        """OpenID Connect Core 1.0 section 2, with Microsoft's `oid`, `tid` and `ver`."""
        claims = self._claims(grant, grant.request.client_id, expires_in)
        claims["preferred_username"] = grant.person.username
        if "email" in grant.request.scopes:
            claims["email"] = grant.person.username
        if grant.request.nonce:
            claims["nonce"] = grant.request.nonce
        if grant.request.tells_auth_time:
            claims["auth_time"] = int(grant.auth_time)
        return self._sign(claims)

    def access_token(self, grant: Grant, expires_in: int) -> str:
        """A JWT, as Microsoft issues them; clients must not parse it (RFC 6749, 1.4)."""
        claims = self._claims(grant, GRAPH.rstrip("/"), expires_in)
        claims["appid"] = grant.request.client_id
        claims["scp"] = " ".join(graph_scopes(grant.request.scopes))
        # Without it, two tokens issued in the same second would be identical.
        claims["uti"] = secrets.token_urlsafe(16)
        return self._sign(claims)

    def client_info(self, grant: Grant) -> str:
        """Microsoft's `client_info`: user and tenant id, from which MSAL makes home_account_id."""
        info = json.dumps({"uid": grant.person.oid, "utid": self.tenant_id})
        return base64.urlsafe_b64encode(info.encode()).rstrip(b"=").decode()

    def _claims(self, grant: Grant, audience: str, expires_in: int) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + expires_in,
            "sub": f"{grant.person.oid}.{grant.request.client_id[:8]}",
            "oid": grant.person.oid,
            "tid": self.tenant_id,
            "name": grant.person.name,
            "ver": "2.0",
        }

    def _sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, claims, self._key)
