"""Sign-in by the broker of the operating system; on Windows it is WAM.

The broker keeps the sign-in, so it also renews the tokens.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from nbauth.core.flow_names import BROKER
from nbauth.core.steps import Asking, Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines import token_requests
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.flows.record import Flow

WINDOW = "Sign in in the window that your operating system opens."


def run(engine: Engine, request: AuthorizationRequest) -> Generator[Step, Any, TokenResponse]:
    """Let the broker sign in, with its window if it needs one."""
    yield Asking(WINDOW)
    return engine.obtain(token_requests.Broker(), request)


def renew(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
    """New tokens without a window."""
    username = request.login_hint or ""
    return engine.obtain(token_requests.Broker(username, silent=True), request)


FLOW = Flow(
    BROKER,
    run,
    label="Sign in with the operating system",
    how="A window of your operating system opens, with the accounts that it knows.",
    detail="the broker of the operating system (WAM, Company Portal, Intune)",
    renew=renew,
    offered=False,
)
