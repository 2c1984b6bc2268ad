"""Managed identity: a token from the endpoint of the Azure resource on which the kernel runs."""

from __future__ import annotations

import os
from dataclasses import replace

from nbauth.core.flow_names import MANAGED_IDENTITY
from nbauth.core.tokens import Principal, TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.engines.token_requests import ManagedIdentity
from nbauth.oauth.flows.record import service_flow
from nbauth.oauth.service_identity import CLIENT, check_entra, of_resource


def get(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
    """A token of the managed identity: the user-assigned one with the id in ``AZURE_CLIENT_ID``,
    else the system-assigned one."""
    check_entra(engine.authority)
    client_id = os.environ.get(CLIENT, "")
    asked = replace(request, scopes=of_resource(engine.authority, request.scopes))
    response = engine.obtain(ManagedIdentity(client_id), asked)
    if response.principal is not None:  # the person who opened Azure Cloud Shell
        return replace(response, refresh_token=None)
    name = client_id or "system-assigned"
    who = Principal(f"managed-identity:{name}", f"managed identity {name}", application=True)
    return replace(response, refresh_token=None, principal=who)


FLOW = service_flow(
    MANAGED_IDENTITY, get, detail="the managed identity's endpoint of this Azure resource"
)
