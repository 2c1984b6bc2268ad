"""``Engine.obtain`` at Microsoft's authorities: which method of MSAL each kind of request needs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import msal

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.oauth.authorities import Authority
from nbauth.oauth.certificate import certificate_of
from nbauth.oauth.credentials import (
    ClientAssertion,
    ClientCredential,
    ClientSecret,
    no_credential,
)
from nbauth.oauth.engines import microsoft_federated
from nbauth.oauth.engines.protocol import AuthorizationRequest, extra_parameters
from nbauth.oauth.engines.token_requests import (
    ClientCredentials,
    ExtensionGrant,
    IntegratedWindows,
    OnBehalfOf,
    Password,
    TokenRequest,
)
from nbauth.oauth.http import Http

OPENID = ("openid", "profile", "offline_access")
"""The scopes that MSAL adds to those of a person's request."""

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def application(credential: ClientCredential | None) -> Callable[..., Any]:
    """MSAL's application class for a client with this credential, or for a public client.

    The credential is read now. Raises ``ConfigurationError`` if that fails.
    """
    if credential is None:
        return msal.PublicClientApplication  # type: ignore[no-any-return]

    taken = _as_msal_takes(credential)

    def confidential(client_id: str, **options: Any) -> Any:
        return msal.ConfidentialClientApplication(
            client_id,
            client_credential=taken,
            azure_region=False,  # MSAL_FORCE_REGION would send the credential to another host
            **options,
        )

    return confidential


def _as_msal_takes(credential: ClientCredential) -> Any:
    if isinstance(credential, ClientSecret):
        return str(credential.value())
    if isinstance(credential, ClientAssertion):
        return {"client_assertion": lambda: str(credential.read())}
    found = certificate_of(credential)
    if found.kind != "RSA":
        raise ConfigurationError(
            f"The key in {credential.path} is not an RSA key, and Microsoft's authorities accept no"
            " other.",
            code="bad_certificate",
            hint="Register a certificate with an RSA key.",
        )
    # Without the thumbprint, MSAL would send the first certificate of the chain only. It does not
    # remove line breaks from the PEM, and x5c has none (RFC 7515 §4.1.6).
    taken = {"private_key": found.private_key, "thumbprint": found.thumbprint}
    chain = "".join(f"{BEGIN}{one}{END}" for one in found.x5c)
    return taken | ({"public_certificate": chain} if credential.send_chain else {})


def obtain(
    app: Any,
    http: Http,
    authority: Authority,
    credential: ClientCredential | None,
    wanted: TokenRequest,
    request: AuthorizationRequest,
) -> Mapping[str, Any]:
    """MSAL's response to a request.

    Args:
        app: MSAL's application.
        http: for the requests of federated sign-ins, which MSAL does not send.
        authority: of the application.
        credential: of the application.
        wanted: the kind of request.
        request: its scopes and extra parameters.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MSAL calls some of its methods deprecated
        if isinstance(wanted, Password | IntegratedWindows):
            scopes = [*request.scopes.resource_scopes, *OPENID]
            return microsoft_federated.obtain(app, http, authority, wanted, request, scopes)
        answer: Mapping[str, Any] = _sent(app, credential, wanted, request)
    return answer


def _sent(
    app: Any,
    credential: ClientCredential | None,
    wanted: TokenRequest,
    request: AuthorizationRequest,
) -> Any:
    scopes = list(request.scopes.resource_scopes)
    more = {**extra_parameters(request)}
    claims = {"claims_challenge": request.claims} if request.claims else {}
    match wanted:
        case ClientCredentials():
            if credential is None:
                raise no_credential()
            return app.acquire_token_for_client(scopes, data=more, **claims)
        case OnBehalfOf(token):
            if credential is None:
                raise no_credential()
            return app.acquire_token_on_behalf_of(str(token), scopes, data=more, **claims)
        case ExtensionGrant(grant_type, parameters):
            return app.client.obtain_token_by_assertion(
                None, grant_type, scope=[*scopes, *OPENID], data={**more, **parameters}
            )
    raise FlowUnavailable(
        "Microsoft's authorities do not offer this flow.",
        hint="Choose another flow: %login --flow browser.",
    )
