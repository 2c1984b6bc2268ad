"""``Engine.obtain`` for a person at Microsoft's authorities: a password, or a Kerberos ticket.

A federated user is checked by the server of the user's organisation (``nbauth.oauth.federation``).
MSAL then exchanges its SAML assertion for tokens. MSAL's own method for passwords is not used: it
drops the port of the authority, has no method for Kerberos, and reads XML without limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from nbauth.core.errors import ConsentRequired, FlowUnavailable
from nbauth.core.flow_names import BROWSER
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import AuthorizationRequest, extra_parameters
from nbauth.oauth.engines.token_requests import IntegratedWindows, Password, TokenRequest
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.federation import assertion
from nbauth.oauth.federation.negotiate import ticket_principal
from nbauth.oauth.federation.realm import MANAGED, Realm, discover
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata


def check(authority: Authority, wanted: TokenRequest) -> None:
    """Raise ``FlowUnavailable``, before anything is sent, if the authority cannot do this."""
    if not isinstance(wanted, Password | IntegratedWindows):
        return
    windows = isinstance(wanted, IntegratedWindows)
    flow = "Integrated Windows Authentication" if windows else "Sign-in with a password"
    authority.refuse_accounts_of_any_tenant(flow)
    if windows and authority.kind != "entra":
        raise FlowUnavailable(
            f"{flow} works only at an authority of Microsoft Entra."
            + (" At AD FS itself, the browser does it." if authority.kind == "adfs" else ""),
            code="not_at_this_authority",
            hint=f"Sign in with a browser: %login --flow {BROWSER}.",
            suggested_flow=BROWSER,
        )


def obtain(
    app: Any,
    http: Http,
    authority: Authority,
    wanted: Password | IntegratedWindows,
    request: AuthorizationRequest,
    scopes: list[str],
) -> Mapping[str, Any]:
    """MSAL's response.

    Args:
        app: MSAL's application.
        http: sends all other requests.
        authority: of the application.
        wanted: the password, or the wish to use the Kerberos ticket.
        request: claims and extra parameters of the token request.
        scopes: of the token request.
    """
    data = extra_parameters(request) | ({"claims": request.claims} if request.claims else {})
    if isinstance(wanted, Password):
        if not wanted.username:
            raise error_from({"error": "no_username"})
        realm = _realm_for_password(http, authority, wanted.username)
        if not realm.federated:
            answer: Mapping[str, Any] = app.client.obtain_token_by_username_password(
                wanted.username, str(wanted.password), scope=scopes, data=data
            )
            return answer
        signed = assertion.by_password(http, realm, wanted.username, wanted.password)
    else:
        signed = assertion.by_kerberos(http, _realm_for_ticket(http, authority, wanted.username))
    encoders = app.client.grant_assertion_encoders
    # As MSAL does: its class knows the encoder for SAML 2.0 only.
    encoders.setdefault(signed.grant_type, app.client.encode_saml_assertion)
    exchanged: Mapping[str, Any] = app.client.obtain_token_by_assertion(
        signed.body, signed.grant_type, scope=scopes, data=data
    )
    return exchanged


def _realm_for_password(http: Http, authority: Authority, username: str) -> Realm:
    if authority.kind != "entra":  # these check passwords themselves
        return MANAGED
    realm = discover(http, authority, username) or MANAGED
    if realm.federated is None:
        raise error_from({"error": "unknown_user_type"})
    return realm


def _realm_for_ticket(http: Http, authority: Authority, username: str) -> Realm:
    realm = discover(http, authority, username or ticket_principal())
    if realm is None:
        raise error_from({"error": "realm_discovery_failed", "error_description": "HTTP 404"})
    if realm.federated is None:
        raise error_from({"error": "unknown_user_type"})
    if not realm.federated:
        raise error_from({"error": "managed_user"})
    return realm


@contextmanager
def consent_page(
    metadata: Metadata, client_id: str, request: AuthorizationRequest
) -> Iterator[None]:
    """Add the page for the consent to the error for a missing one: no browser has shown it."""
    try:
        yield
    except ConsentRequired as error:
        page = metadata.get("authorization_endpoint")
        if not page:
            raise
        asked = {
            "client_id": client_id,
            "response_type": "code",
            "scope": " ".join((*request.scopes.resource_scopes, "openid")),
            "prompt": "consent",
        }
        if request.login_hint:
            asked["login_hint"] = request.login_hint
        shown = ConsentRequired(
            str(error),
            code=error.code,
            hint=f"Consent once at {page}?{urlencode(asked)} or by %login --flow {BROWSER};"
            " then repeat this sign-in.",
            correlation_id=error.correlation_id,
            suggested_flow=BROWSER,
        )
        shown.word = error.word
        raise shown from None
