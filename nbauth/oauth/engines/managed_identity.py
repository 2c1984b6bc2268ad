"""The token of a managed identity, by MSAL's client.

Its endpoints belong to the machine: http on a link-local or loopback address, or https with a
pinned certificate (Service Fabric). So the requests use no proxy, and not nbauth's rules for
addresses of providers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msal
import requests
from msal import managed_identity as sources

from nbauth.core.errors import AuthorityUnreachable, FlowUnavailable, NbAuthError
from nbauth.core.interrupts import join
from nbauth.core.scopes import Scopes
from nbauth.core.secret import no_frames
from nbauth.core.text import plain
from nbauth.core.tokens import Principal, TokenResponse
from nbauth.oauth import json_body
from nbauth.oauth.answered import host_of, read_into, redirected, too_large
from nbauth.oauth.answers import access_token_in, text_in, tokens_in
from nbauth.oauth.engines.token_requests import ManagedIdentity
from nbauth.oauth.error_catalogue import error_from, not_understood
from nbauth.oauth.network import OwnSession

TIMEOUT = (2.0, 5.0)
"""Seconds to connect, and to wait for each part of a response."""
LONGEST = 8.0
"""Seconds for all requests of one token: MSAL's own session for Service Fabric has no time-out."""
VM_PATH = "/metadata/identity/oauth2/token"
UPDATING = frozenset({404, 410})
"""Statuses of a VM's endpoint while it is being updated ("How to use managed identities on a VM",
error handling)."""
WHAT_TO_DO = (
    "Assign a managed identity to this Azure resource. Elsewhere use another flow: --flow app with"
    " AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or a sign-in by a person."
)
TRY_AGAIN = "Try again in a minute; the endpoint belongs to this machine or its platform."


def is_cloud_shell() -> bool:
    """Whether this is Azure Cloud Shell, whose endpoint gives tokens of the person."""
    return bool(sources.get_managed_identity_source() is sources.CLOUD_SHELL)


@no_frames
def token_of(wanted: ManagedIdentity, scopes: Scopes, claims: str | None) -> TokenResponse:
    """A token of the identity.

    Raises ``FlowUnavailable`` if this machine has no such identity, and ``AuthorityUnreachable`` if
    nothing, or nothing valid, responded.
    """
    check_choice(wanted)
    identity = (
        msal.UserAssignedManagedIdentity(client_id=wanted.client_id)
        if wanted.client_id
        else msal.SystemAssignedManagedIdentity()
    )

    def ask() -> Any:
        with _LocalHttp() as http:
            client = msal.ManagedIdentityClient(identity, http_client=http)
            return client.acquire_token_for_client(
                resource=scopes.resource, claims_challenge=claims
            )

    answer = _understood(_within(LONGEST, ask))
    return tokens_in(answer, scopes, {})


@no_frames
def token_in_cloud_shell(app: Any, wanted: ManagedIdentity, scopes: Scopes) -> TokenResponse:
    """A token of the person who opened Azure Cloud Shell.

    Args:
        app: MSAL's public client application.
        wanted: must not name an identity.
        scopes: of one resource.
    """
    check_choice(wanted)
    answer = _understood(app.acquire_token_interactive(list(scopes), prompt="none"))
    claims = answer.get("id_token_claims")
    told: Mapping[str, Any] = claims if isinstance(claims, Mapping) else {}
    tenant, subject = text_in(told, "tid"), text_in(told, "sub")
    name = text_in(told, "preferred_username") or "the user of Cloud Shell"
    who = Principal(f"cloud-shell:{subject}@{tenant}", plain(name), plain(tenant))
    token = {**answer, "refresh_token": None, "id_token": None}
    return TokenResponse(**{**vars(tokens_in(token, scopes, {})), "principal": who})


def check_choice(wanted: ManagedIdentity) -> None:
    """Raise ``FlowUnavailable`` if an identity is named where the platform lets no one choose."""
    source = sources.get_managed_identity_source()
    fixed = {sources.CLOUD_SHELL: "Azure Cloud Shell", sources.SERVICE_FABRIC: "Service Fabric"}
    if wanted.client_id and source in fixed:
        raise FlowUnavailable(
            f"{fixed[source]} has one identity, but AZURE_CLIENT_ID names {wanted.client_id}.",
            code="no_managed_identity",
            hint="Unset AZURE_CLIENT_ID, or use another flow.",
        )


def _understood(answer: object) -> Mapping[str, Any]:
    """A response with a token. Raises the error in it."""
    if not isinstance(answer, Mapping):
        raise not_understood("it is not a JSON object")
    if not answer.get("error") and access_token_in(answer):
        return answer
    told = dict(answer)
    if "access_token" in str(answer):  # MSAL puts the whole response into the description
        told = {"error": "invalid_response", "error_description": "it has no token or no lifetime"}
    error = error_from(told) if told.get("error") else not_understood("it has no token")
    if "identity not found" in str(error).lower():
        raise _absent(f"this resource has no such identity. {error}")
    raise FlowUnavailable(
        f"The endpoint of managed identities gave no token. {error}",
        code=error.code,
        hint=WHAT_TO_DO,
        correlation_id=error.correlation_id,
    )


class _LocalHttp(OwnSession):
    """MSAL copies the hooks and these settings into its session for Service Fabric."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.stream = True
        self.max_redirects = 0
        self.headers["Accept-Encoding"] = json_body.ACCEPTED
        self.hooks["response"].append(_read)

    def request(self, *args: Any, **options: Any) -> Any:
        return super().request(*args, **{"timeout": TIMEOUT, **options})


def _read(response: requests.Response, *_: Any, **__: Any) -> None:
    """Read a response within the limits of size. Raises ``AuthorityUnreachable``."""
    if response.is_redirect:
        response.close()
        raise redirected(response, "to another address")
    if response.status_code == 401:  # Azure Arc's challenge: only its header is used
        response._content = b"{}"
        response._content_consumed = True  # type: ignore[attr-defined]
        response.close()
        return
    if response.status_code in UPDATING and VM_PATH in str(response.url):
        response.close()
        raise AuthorityUnreachable(
            f"{host_of(response.url)} returned HTTP {response.status_code}: the endpoint of managed"
            " identities is being updated.",
            code=f"http_{response.status_code}",
            hint=TRY_AGAIN,
        )
    try:
        read_into(response)
    except json_body.TooLarge:
        raise too_large(response.url) from None
    finally:
        response.close()


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """The result of a request that ends within this time. Its exceptions are converted."""
    results: list[Any] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(ask())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="nbauth-managed-identity", daemon=True)
    thread.start()
    join(thread, seconds)
    if errors:
        raise _converted(errors[0]) from errors[0]
    if not results:
        raise _silent(f"no complete response within {seconds:.0f} s")
    return results[0]


def _converted(error: Exception) -> NbAuthError:
    match error:
        case NbAuthError():
            if isinstance(error, AuthorityUnreachable):
                error.hint = TRY_AGAIN
            return error
        case requests.exceptions.SSLError():
            return _silent("its certificate is not the one of IDENTITY_SERVER_THUMBPRINT")
        case requests.Timeout():
            return _silent(f"nothing responded within {TIMEOUT[0]:.0f} to {TIMEOUT[1]:.0f} s")
        case requests.RequestException():
            return _silent("no connection")
        case OSError():  # the key file of Azure Arc
            return _absent(f"{plain(error.filename or '')}: {error.strerror}")
        case msal.ManagedIdentityError():
            return _absent(plain(error))
    return not_understood("the endpoint of managed identities did not respond as documented")


def _silent(why: str) -> AuthorityUnreachable:
    return AuthorityUnreachable(
        f"The endpoint of managed identities did not respond: {why}. On a machine that is not an"
        " Azure resource there is none.",
        code="no_managed_identity",
        hint=WHAT_TO_DO,
    )


def _absent(why: str) -> FlowUnavailable:
    return FlowUnavailable(
        f"There is no managed identity for this notebook: {why.rstrip('.')}.",
        code="no_managed_identity",
        hint=WHAT_TO_DO,
    )
