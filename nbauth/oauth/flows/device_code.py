"""Sign-in with a code on any device: the device authorization grant (RFC 8628)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from nbauth.core.errors import AuthorityUnreachable, SignInExpired
from nbauth.core.flow_names import DEVICE
from nbauth.core.steps import Pause, ShowUserCode, Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationPending, AuthorizationRequest, Engine
from nbauth.oauth.flows.record import Flow

SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 60.0


def run(engine: Engine, request: AuthorizationRequest) -> Generator[Step, Any, TokenResponse]:
    """Show a code, then poll until the person has finished.

    A network error, a 5xx status or an invalid response does not end the sign-in: polling goes on,
    less often (RFC 8628 §3.5), until the code expires.
    """
    device = engine.start_device(request)
    yield ShowUserCode(
        user_code=device.user_code,
        verification_uri=device.verification_uri,
        verification_uri_complete=device.verification_uri_complete,
        expires_in=device.expires_in,
        message=device.message,
    )
    interval = max(SHORTEST_INTERVAL, device.interval)
    wait = interval
    now = yield Pause(0)
    end = now + device.expires_in
    while True:
        now = yield Pause(min(wait, max(0.0, end - now)))
        if now >= end:
            raise SignInExpired("The code expired before it was used.")
        try:
            return engine.poll_device(device)
        except AuthorizationPending as pending:
            if pending.slow_down:
                interval += 5
            wait = interval
        except AuthorityUnreachable:
            wait = max(interval, min(wait * 2, LONGEST_INTERVAL))


FLOW = Flow(
    DEVICE,
    run,
    label="Sign in with a code",
    how="You enter a short code on the provider's page, on this computer or on your phone.",
    detail="a code that is entered on any device; no redirect is needed",
)
