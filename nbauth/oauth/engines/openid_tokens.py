"""``Engine.obtain`` at other issuers: the parameters of each kind of token request."""

from __future__ import annotations

from collections.abc import Mapping

from nbauth.core.errors import FlowUnavailable
from nbauth.oauth.engines.token_requests import (
    ClientCredentials,
    ExtensionGrant,
    OnBehalfOf,
    Password,
    TokenRequest,
)

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def parameters_of(wanted: TokenRequest) -> tuple[str, Mapping[str, str]]:
    """The grant type and its parameters, without scopes and the client's authentication."""
    match wanted:
        case Password(username, password):
            return "password", {"username": username, "password": str(password)}
        case ClientCredentials():
            return "client_credentials", {}
        case OnBehalfOf(token):  # RFC 8693 §2.1
            return TOKEN_EXCHANGE, {
                "subject_token": str(token),
                "subject_token_type": ACCESS_TOKEN,
                "requested_token_type": ACCESS_TOKEN,
            }
        case ExtensionGrant(grant_type, parameters):
            return grant_type, parameters
    raise FlowUnavailable(
        "Only Microsoft's authorities offer this flow.",
        hint="Choose another flow: %login --flow browser.",
    )


def is_for_a_person(wanted: TokenRequest) -> bool:
    """Whether the tokens are a person's, so that the response must identify the account."""
    return isinstance(wanted, Password)
