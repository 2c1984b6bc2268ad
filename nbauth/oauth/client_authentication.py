"""Authentication of a client: a secret (RFC 6749 §2.3.1), or a signed assertion (RFC 7523)."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from nbauth.core.errors import ConfigurationError
from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.oauth.credentials import Certificate, ClientCredential, ClientSecret
from nbauth.oauth.metadata import Metadata

BASIC, POST = "client_secret_basic", "client_secret_post"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 300
"""Seconds for which a signed assertion is valid."""
OF_RSA = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
"""The algorithms for an RSA key, in the order in which they are chosen (RFC 7518 §3.1)."""
OF_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
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
            secret = credential.value()
            if (credential.method or method_of(metadata)) == BASIC:
                return cls(client_id, secret)
            return cls(client_id, parameters={"client_secret": str(secret)})
        assertion = (
            _signed(client_id, credential, metadata)
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


def _signed(client_id: str, credential: Certificate, metadata: Metadata) -> str:
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
        "aud": metadata.get("token_endpoint") or metadata.issuer,
        "jti": secrets.token_urlsafe(24),
        "iat": now,
        "exp": now + ASSERTION_LIFETIME,
    }
    if found.kind not in {"RSA", "EC"}:
        raise _no_algorithm(credential, found.kind)
    key: Any = (RSAKey if found.kind == "RSA" else ECKey).import_key(found.private_key)
    algorithm = _algorithm(credential, key.as_dict().get("crv", ""), metadata)
    header: dict[str, Any] = {"alg": algorithm, "typ": "JWT", "x5t": found.x5t}
    if credential.send_chain:
        header["x5c"] = found.x5c
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def _algorithm(credential: Certificate, curve: str, metadata: Metadata) -> str:
    """The first algorithm for this key that the provider lists; the usual one if it lists none."""
    possible = (OF_CURVES.get(curve, ""),) if curve else OF_RSA
    listed = metadata.words("token_endpoint_auth_signing_alg_values_supported")
    chosen = next((one for one in possible if one and (not listed or one in listed)), "")
    if not chosen:
        raise _no_algorithm(credential, f"{curve or 'RSA'} key", listed or ())
    return chosen


def _no_algorithm(
    credential: Certificate, key: str, listed: Iterable[str] = ()
) -> ConfigurationError:
    accepted = f" It accepts {plain(', '.join(listed))}." if listed else ""
    return ConfigurationError(
        f"The key in {credential.path} ({key}) cannot sign an assertion for this provider."
        f"{accepted}",
        code="bad_certificate",
        hint="Register a certificate with another kind of key: RSA, or EC with the curve P-256.",
    )


def _text(body: str | bytes | None) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""
