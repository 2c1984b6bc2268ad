"""The token of a managed identity, by MSAL's client.

Its endpoints belong to the machine: http on a link-local or loopback address. So the request uses
no proxy, and none of the rules for providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msal
import requests

from nbauth.core.errors import AuthorityUnreachable, FlowUnavailable
from nbauth.core.scopes import Scopes
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.answers import tokens_in
from nbauth.oauth.engines.token_requests import ManagedIdentity
from nbauth.oauth.error_catalogue import error_from

TIMEOUT = 5.0
"""Seconds for each request; the endpoint is on this machine or next to it."""


def answer_of(wanted: ManagedIdentity, scopes: Scopes, claims: str | None) -> Mapping[str, Any]:
    """MSAL's response. Raises ``FlowUnavailable`` where no managed identity answers."""
    identity = (
        msal.UserAssignedManagedIdentity(client_id=wanted.client_id)
        if wanted.client_id
        else msal.SystemAssignedManagedIdentity()
    )
    with _LocalHttp() as http:
        client = msal.ManagedIdentityClient(identity, http_client=http)
        try:
            result: Mapping[str, Any] = client.acquire_token_for_client(
                resource=scopes.resource, claims_challenge=claims
            )
        except requests.RequestException as error:
            raise _absent(type(error).__name__) from error
        except msal.ManagedIdentityError as error:
            raise _absent(plain(error)) from error
    return result


def tokens_of(answer: Mapping[str, Any], scopes: Scopes) -> TokenResponse:
    """The token in a response. Raises its error."""
    if "error" in answer:
        raise error_from(answer)
    return tokens_in(answer, scopes, {})


class _LocalHttp(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 0

    def request(self, *args: Any, **options: Any) -> Any:
        response = super().request(*args, **{"timeout": TIMEOUT, **options})
        if response.status_code >= 500:
            raise AuthorityUnreachable(
                f"The managed identity's endpoint failed (HTTP {response.status_code}).",
                code=f"http_{response.status_code}",
            )
        return response


def _absent(why: str) -> FlowUnavailable:
    return FlowUnavailable(
        f"No managed identity answers here: {why.rstrip('.')}.",
        code="no_managed_identity",
        hint="Assign an identity to this Azure resource, or use another flow.",
    )
