"""The endpoints that programs call: discovery, keys, device authorization, token."""

from __future__ import annotations

import secrets
import time
from typing import Any

from .contents import SIGN_IN_PEOPLE
from .endpoint import Endpoint
from .grants import Grant
from .protocol_errors import ProtocolError
from .scopes import IDENTITY, granted_scope, graph_scopes, is_default, parse_scopes

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class MetadataEndpoint(Endpoint):
    """OpenID Connect Discovery 1.0 section 4, with RFC 8628 section 4 and RFC 9207 section 3."""

    def get(self, tenant: str) -> None:
        self.check_tenant(tenant)
        provider = self.provider
        pages = f"{provider.pages_url}/{provider.tenant_id}/oauth2/v2.0"
        endpoints = f"{provider.authority}/oauth2/v2.0"
        self.write_json(
            {
                "issuer": provider.issuer,
                "authorization_endpoint": f"{pages}/authorize",
                "end_session_endpoint": f"{pages}/logout",
                "token_endpoint": f"{endpoints}/token",
                "device_authorization_endpoint": f"{endpoints}/devicecode",
                "jwks_uri": f"{provider.authority}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "form_post"],
                "grant_types_supported": [
                    "authorization_code",
                    "refresh_token",
                    "password",
                    DEVICE_GRANT,
                ],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": [*IDENTITY, "offline_access"],
                "claims_parameter_supported": True,
                "authorization_response_iss_parameter_supported": True,
            }
        )


class KeysEndpoint(Endpoint):
    """The JWK Set (RFC 7517 section 5)."""

    def get(self, tenant: str) -> None:
        self.check_tenant(tenant)
        self.write_json(self.provider.signer.jwks())


class DeviceAuthorizationEndpoint(Endpoint):
    """RFC 8628 section 3.1."""

    def post(self, tenant: str) -> None:
        self.check_tenant(tenant)
        record = self.store.start_device(self.token_request(self.check_client()))
        uri = self.provider.verification_uri
        self.write_json(
            {
                "user_code": record.user_code,
                "device_code": record.device_code,
                "verification_uri": uri,
                "verification_uri_complete": f"{uri}?user_code={record.user_code}",
                "expires_in": self.store.device_ttl,
                "interval": self.store.device_interval,
                "message": f"To sign in, open {uri} and enter the code {record.user_code}.",
            }
        )


class TokenEndpoint(Endpoint):
    """RFC 6749 section 3.2, RFC 8628 section 3.4."""

    def post(self, tenant: str) -> None:
        self.check_tenant(tenant)
        client_id = self.check_client()
        grant_type = self.require("grant_type")
        if grant_type == "authorization_code":
            grant = self.store.redeem_code(
                self.require("code"),
                self.require("redirect_uri"),
                self.require("code_verifier"),
                client_id,
            )
        elif grant_type == DEVICE_GRANT:
            grant = self.store.poll_device(self.require("device_code"), client_id)
        elif grant_type == "refresh_token":
            grant = self._refresh(client_id)
        elif grant_type == "password":
            grant = self._password(client_id)
        else:
            raise ProtocolError("unsupported_grant_type", 70003, f"Grant '{grant_type}'.")
        self.write_json(self._response(grant.with_claims(self.claims())))

    def _refresh(self, client_id: str) -> Grant:
        """RFC 6749 section 6; any consented scope will do, as at Microsoft's endpoints."""
        token, wanted = self.require("refresh_token"), self.field("scope")
        claims = self.claims()
        known = self.store.refresh_tokens.get(token)
        if known is None or known.rotated or not wanted:
            grant = self.store.rotate(token, client_id)
            return grant.refreshed(grant.request.scopes, claims)
        scopes = parse_scopes(wanted)
        if is_default(wanted):
            identity = tuple(scope for scope in scopes if not graph_scopes([scope]))
            consented = self.store.consented(known.grant.person, client_id)
            scopes = (*consented, *identity) if consented else scopes
        # Before the token is spent: a refused scope must leave it usable.
        if not self.store.has_consent(known.grant.person, client_id, scopes):
            raise ProtocolError(
                "invalid_grant",
                65001,
                f"The user has not consented to all of: {' '.join(graph_scopes(scopes))}.",
                suberror="consent_required",
            )
        return self.store.rotate(token, client_id).refreshed(scopes, claims)

    def _password(self, client_id: str) -> Grant:
        """RFC 6749 section 4.3."""
        person = SIGN_IN_PEOPLE.get(self.require("username").lower())
        if person is None or not secrets.compare_digest(
            self.require("password").encode(), self.provider.password.encode()
        ):
            raise ProtocolError("invalid_grant", 50126, "Invalid username or password.")
        grant = Grant(self.token_request(client_id), person, time.time())
        self.store.consent(grant)
        return grant

    def _response(self, grant: Grant) -> dict[str, Any]:
        """RFC 6749 section 5.1; OpenID Connect Core 1.0 section 3.1.3.3."""
        scopes, lifetime = grant.request.scopes, self.store.access_ttl
        access_token = self.provider.signer.access_token(grant, lifetime)
        self.store.keep_access_token(access_token, grant)
        body: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": granted_scope(scopes),
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": access_token,
        }
        if "offline_access" in scopes:
            body["refresh_token"] = self.store.issue_refresh_token(grant)
        if "openid" in scopes:
            body["id_token"] = self.provider.signer.id_token(grant, max(lifetime, 300))
        if grant.request.client_info or self.field("client_info") == "1":
            body["client_info"] = self.provider.signer.client_info(grant)
        return body
