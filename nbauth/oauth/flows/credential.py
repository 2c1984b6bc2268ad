"""The credential object that ``nbauth.configure(credential=…)`` was given."""

from __future__ import annotations

from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import CREDENTIAL
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.flows.by_identity import token_of
from nbauth.oauth.flows.record import service_flow
from nbauth.oauth.identities.token_credential import TokenCredentialIdentity


def get(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
    """A token of the credential; the account keeps using the object of its first token."""
    if request.credential is None:
        raise ConfigurationError(
            "No credential is set.",
            code="no_credential",
            hint="Set it in this kernel: nbauth.configure(credential=DefaultAzureCredential()).",
        )
    return token_of(TokenCredentialIdentity(request.credential), engine.authority, request)


FLOW = service_flow(CREDENTIAL, get, detail="the object in nbauth.configure(credential=…)")
