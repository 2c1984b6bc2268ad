"""Sign-in with the Kerberos ticket of the person: Integrated Windows Authentication."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from nbauth.core.flow_names import IWA
from nbauth.core.steps import Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.engines.token_requests import IntegratedWindows
from nbauth.oauth.flows.record import Flow


def run(engine: Engine, request: AuthorizationRequest) -> Generator[Step, Any, TokenResponse]:
    """Obtain tokens without any step: the person has signed in to the domain before."""
    yield from ()
    return engine.obtain(IntegratedWindows(request.login_hint or ""), request)


FLOW = Flow(
    IWA,
    run,
    label="Sign in with the Windows domain",
    how="Nothing: the sign-in to your organisation's domain (Kerberos) is used.",
    detail="the Kerberos ticket of this user, for federated users of Microsoft Entra",
    interactive=False,
    offered=False,
)
