"""The application itself: client credentials (RFC 6749 §4.4) with a secret or a certificate.

The profile's client, if it has a credential; else the one that the variables of the Azure SDKs
name.
"""

from __future__ import annotations

import os

from nbauth.core.flow_names import APP
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.flows.record import service_flow
from nbauth.oauth.service_identity import application_in, as_application


def get(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
    """A token of the application."""
    if engine.credential is not None or not engine.authority.microsoft:
        return as_application(engine, request, None)
    return as_application(engine, request, application_in(os.environ, engine.authority))


FLOW = service_flow(APP, get, detail="client credentials: the application's secret or certificate")
