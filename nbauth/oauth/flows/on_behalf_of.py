"""On behalf of: the hub's token of the person is exchanged for a token for an API.

Microsoft's on-behalf-of flow with the profile's client credential; RFC 8693 at other issuers.
"""

from __future__ import annotations

from dataclasses import replace

from nbauth.core.errors import ConsentRequired, InteractionRequired
from nbauth.core.flow_names import OBO
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.engines.token_requests import OnBehalfOf
from nbauth.oauth.flows.by_identity import asked
from nbauth.oauth.flows.record import service_flow
from nbauth.oauth.identities.hub import Hub

HUB = Hub()


def get(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
    """A token for the API; the hub is asked for its current token each time."""
    held = asked(HUB, engine.authority, request.scopes, None)
    try:
        response = engine.obtain(OnBehalfOf(SecretStr(held.token)), request)
    except ConsentRequired as error:  # nobody can consent in this exchange
        error.hint = (
            f"An administrator of the tenant must consent to {request.scopes} for the application"
            f" {engine.client_id}: az ad app permission admin-consent --id {engine.client_id}"
        )
        raise
    except InteractionRequired as error:
        error.hint = (
            "Log out at the hub and log in again, with the proof that the message names. If the"
            " hub does not request it, tell its administrator."
        )
        raise
    who = replace(held.who, id=f"{OBO}:{held.who.id}")
    return replace(response, refresh_token=None, principal=who)


FLOW = service_flow(
    OBO,
    get,
    detail="the hub's token, exchanged for one for the API (on behalf of; RFC 8693)",
    own_client=False,
)
