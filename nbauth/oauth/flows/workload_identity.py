"""Workload identity: client credentials with an assertion that the platform writes into a file."""

from __future__ import annotations

import os

from nbauth.core.flow_names import WORKLOAD_IDENTITY
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.flows.record import service_flow
from nbauth.oauth.service_identity import as_application, workload_in


def get(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
    """A token of the workload; the file is read each time."""
    return as_application(engine, request, workload_in(os.environ, engine.authority))


FLOW = service_flow(
    WORKLOAD_IDENTITY, get, detail="client credentials: the assertion in AZURE_FEDERATED_TOKEN_FILE"
)
