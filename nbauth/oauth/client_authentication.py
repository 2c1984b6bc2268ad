"""Authentication of a client: a secret (RFC 6749 §2.3.1), or a signed assertion (RFC 7523)."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from nbauth.core.secret import SecretStr
from nbauth.oauth.credentials import Certificate, ClientCredential, ClientSecret
from nbauth.oauth.metadata import Metadata

BASIC, POST = "client_secret_basic", "client_secret_post"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 300
"""Seconds for which a signed assertion is valid."""
ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
"""The algorithm of each curve (RFC 7518 §3.4)."""


def method_of(metadata: Metadata) -> str:
    """The authentication method to use with this provider.

    The default in metadata is Basic (RFC 8414 §2). Providers without metadata, such as GitHub,
    expect the secret as a parameter.
    """
    if not metadata.published:
        return POST
    offered = metadata.words("token_endpoint_auth_methods_supported") or (BASIC,)
    return POST if POST in offered and BASIC not in offered else BASIC


class ClientAuthentication:
    """``auth=`` of a request to the token, device or revocation endpoint.

    Without a credential it only adds ``client_id``. Parameters that the body already has are kept.

    Args:
        client_id: of the client.
        secret: sent with Basic; ``None`` to send only parameters.
        parameters: added to the body.
    """

    def __init__(
        self,
        client_id: str,
        secret: SecretStr | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self._client_id = client_id
        self._secret = secret
        self._parameters = parameters or {}

    @classmethod
    def of(
        cls, client_id: str, credential: ClientCredential, metadata: Metadata
    ) -> ClientAuthentication:
        """The authentication with a credential, which is read now."""
        if isinstance(credential, ClientSecret):
            secret = credential.read()
            if method_of(metadata) == BASIC:
                return cls(client_id, secret)
            return cls(client_id, parameters={"client_secret": str(secret)})
        assertion = (
            _signed(client_id, credential, metadata.get("token_endpoint") or metadata.issuer)
            if isinstance(credential, Certificate)
            else str(credential.read())
        )
        return cls(
            client_id,
            parameters={"client_assertion_type": JWT_BEARER, "client_assertion": assertion},
        )

    def __call__(self, request: Any) -> Any:
        if self._secret is not None:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
            request.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            return request
        sent = parse_qsl(_text(request.body), keep_blank_values=True)
        more = {"client_id": self._client_id, **self._parameters}
        names = {name for name, _ in sent}
        sent += [(name, value) for name, value in more.items() if name not in names]
        request.prepare_body(urlencode(sent), None)
        return request


def _signed(client_id: str, credential: Certificate, audience: str) -> str:
    """An assertion signed with the certificate's key (``private_key_jwt``, OpenID Connect Core §9;
    its claims: RFC 7523 §3)."""
    from joserfc import jwt
    from joserfc.jwk import ECKey, RSAKey

    from nbauth.oauth.certificate import certificate_of

    found = certificate_of(credential)
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(24),
        "iat": now,
        "exp": now + ASSERTION_LIFETIME,
    }
    key: Any = (ECKey if found.elliptic else RSAKey).import_key(found.private_key)
    algorithm = ALGORITHMS.get(key.as_dict().get("crv", ""), "RS256")
    header: dict[str, Any] = {"alg": algorithm, "typ": "JWT", "x5t": found.x5t}
    if credential.send_chain:
        header["x5c"] = found.x5c
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def _text(body: str | bytes | None) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""
