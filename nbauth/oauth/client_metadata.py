"""A registration at an OpenID Connect provider, as client metadata (RFC 7591 §2)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import APP, BROKER, CALLBACK, DEVICE, WORKLOAD_IDENTITY
from nbauth.oauth.client_authentication import BASIC
from nbauth.oauth.registration import (
    CONFIDENTIAL,
    IWA,
    OBO,
    PASSWORD,
    WITH_CODE,
    Plan,
)

GRANTS = {
    **dict.fromkeys(WITH_CODE, "authorization_code"),
    DEVICE: "urn:ietf:params:oauth:grant-type:device_code",
    PASSWORD: "password",
    APP: "client_credentials",
    OBO: "urn:ietf:params:oauth:grant-type:token-exchange",
}
"""The grant type of each flow."""
ENDPOINTS = {"keycloak": "/clients-registrations/openid-connect"}
"""Where a provider takes the document, behind its issuer, if its metadata need not be read."""


def document(plan: Plan) -> dict[str, Any]:
    """The document. Raises ``ConfigurationError`` for flows that only Microsoft has."""
    if foreign := {IWA, BROKER, WORKLOAD_IDENTITY} & set(plan.flows):
        raise ConfigurationError(
            f"The flow {', '.join(sorted(foreign))} exists only at Microsoft's authorities.",
            code="bad_option",
            hint="Choose other flows, or set the authority of the tenant.",
        )
    grants = list(dict.fromkeys(GRANTS[flow] for flow in plan.flows))
    if set(plan.flows) - CONFIDENTIAL:
        grants.append("refresh_token")
    redirects = plan.redirect_uris
    settings = plan.settings
    made: dict[str, Any] = {
        "client_name": plan.name,
        "application_type": "web" if list(plan.flows) == [CALLBACK] else "native",
        "grant_types": grants,
        "redirect_uris": list(redirects),
        "response_types": ["code"] if redirects else [],
        "token_endpoint_auth_method": "none",
    }
    words = dict.fromkeys(settings.scopes)
    if not settings.exact_scopes and set(plan.flows) - {APP}:
        words = dict.fromkeys(("openid", "profile", "email", "offline_access", *words))
    if settings.scopes:  # otherwise the provider uses its default
        made["scope"] = " ".join(words)
    if plan.certificate:
        key = _public_key(plan.certificate)
        made["token_endpoint_auth_method"] = "private_key_jwt"
        made["jwks"] = {"keys": [key]}
    elif plan.has_secret:
        made["token_endpoint_auth_method"] = settings.token_endpoint_auth_method or BASIC
    elif settings.client_assertion_file:  # its issuer's keys are registered at the provider
        made["token_endpoint_auth_method"] = "private_key_jwt"
    return made


def _public_key(path: str) -> dict[str, Any]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from joserfc.jwk import ECKey, RSAKey

    from nbauth.oauth.certificate import public_certificate

    certificate = public_certificate(path)
    x5t = urlsafe_b64encode(certificate.fingerprint(hashes.SHA1())).decode().rstrip("=")  # noqa: S303 - its name
    key = certificate.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    kind = RSAKey if isinstance(key, RSAPublicKey) else ECKey
    return {**kind.import_key(pem).as_dict(private=False), "use": "sig", "x5t": x5t}
