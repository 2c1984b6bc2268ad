"""Providers on loopback that behave as Microsoft documents Azure AD B2C, External ID and AD FS.

"Azure AD B2C: Request an access token" and "Enable custom domains"; "Custom URL domains in external
tenants"; "AD FS OpenID Connect/OAuth concepts".
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.interop.documented import Asked, Documented, as_json
from tests.oauth.servers import reply

TENANT = "22222222-3333-4444-5555-666666666666"
CLIENT = "11111111-2222-3333-4444-555555555555"
OBJECT = "33333333-4444-5555-6666-777777777777"


class Microsofts(Documented):
    """The common part. ``refusal``: the text of the error that the page ends with."""

    refusal = ""
    base = ""
    """The path of the authority."""
    version = "/v2.0"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})

    @property
    def authority(self) -> str:
        return f"{self.url}{self.base}"

    @property
    def issuer(self) -> str:
        raise NotImplementedError

    def claims(self, policy: str) -> dict[str, Any]:
        raise NotImplementedError

    def _bases(self) -> list[str]:
        return [self.base]

    def _pages(self) -> Mapping[str, Callable[[Asked], bytes]]:
        pages: dict[str, Callable[[Asked], bytes]] = {
            "/keys": lambda _: as_json({"keys": [self.key.as_dict(private=False)]})
        }
        for base in self._bases():
            path = f"{base}{self.version}/.well-known/openid-configuration"
            pages[path] = lambda _, base=base: self._metadata(base)  # type: ignore[misc]
            pages[f"{base}/oauth2{self.version}/authorize"] = self._authorize
            pages[f"{base}/oauth2{self.version}/token"] = self._token
        return pages

    def _metadata(self, base: str) -> bytes:
        endpoints = f"{self.url}{base}/oauth2{self.version}"
        return as_json(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{endpoints}/authorize",
                "token_endpoint": f"{endpoints}/token",
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def _authorize(self, asked: Asked) -> bytes:
        if not self.refusal:
            return self._redirect_with_code(asked)
        back = {
            "error": "access_denied",
            "error_description": self.refusal,
            "state": asked.fields["state"],
        }
        return reply(302, "", Location=f"{asked.fields['redirect_uri']}?{urlencode(back)}")

    def _token(self, asked: Asked) -> bytes:
        if asked.fields["grant_type"] == "refresh_token":
            given: Mapping[str, str] | None = {"scope": self.grants[asked.fields["refresh_token"]]}
        else:
            given = self._redeemed(asked)
        if given is None or asked.fields["client_id"] != CLIENT:
            return as_json({"error": "invalid_grant", "error_description": "Bad"}, 400)
        scope = given["scope"]
        policy = asked.path.split("/")[2]
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 3600,
            **self.claims(policy),
            **({"nonce": given["nonce"]} if given.get("nonce") else {}),
        }
        refresh = secrets.token_urlsafe(24)
        self.grants[refresh] = scope
        info = json.dumps(self.client_info(policy)).encode()
        return as_json(
            {
                "access_token": self._issued(scope, "at-"),
                "expires_in": 3600,
                "token_type": "Bearer",
                "scope": self.granted(scope),
                "refresh_token": refresh,
                "id_token": jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key),
                "client_info": urlsafe_b64encode(info).decode().rstrip("="),
            }
        )

    def granted(self, scope: str) -> str:
        return scope

    def client_info(self, policy: str) -> dict[str, str]:
        return {"uid": OBJECT, "utid": TENANT}


class B2C(Microsofts):
    """At a domain of the organisation, with three policies."""

    POLICIES = ("B2C_1_signin", "B2C_1_edit_profile", "B2C_1A_PasswordReset")
    base = "/contoso.onmicrosoft.com/B2C_1_signin"

    @property
    def issuer(self) -> str:
        return f"{self.url}/{TENANT}/v2.0/"

    def _bases(self) -> list[str]:
        return [f"/contoso.onmicrosoft.com/{policy}" for policy in self.POLICIES]

    def claims(self, policy: str) -> dict[str, Any]:
        return {
            "sub": OBJECT,
            "oid": OBJECT,
            "name": "Ada Lovelace",
            "emails": ["ada@example.org"],
            "tfp": policy,
        }

    def client_info(self, policy: str) -> dict[str, str]:
        return {"uid": f"{OBJECT}-{policy.lower()}", "utid": TENANT}


class ExternalId(Microsofts):
    """At a domain of the organisation; its issuer keeps the tenant's name at ciamlogin.com."""

    base = f"/{TENANT}"

    @property
    def issuer(self) -> str:
        return f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0"

    def claims(self, policy: str) -> dict[str, Any]:
        return {
            "sub": "pairwise",
            "oid": OBJECT,
            "tid": TENANT,
            "name": "Ada Lovelace",
            "preferred_username": "ada@example.org",
            "ver": "2.0",
        }


class AdFs(Microsofts):
    """The parameter ``resource`` selects the API."""

    base = "/adfs"
    version = ""

    @property
    def issuer(self) -> str:
        return self.authority

    def claims(self, policy: str) -> dict[str, Any]:
        return {
            "sub": "ada-at-adfs",
            "upn": "ada@contoso.com",
            "unique_name": "CONTOSO\\ada",
        }

    def client_info(self, policy: str) -> dict[str, str]:
        return {}
