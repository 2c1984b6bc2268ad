"""Sign-in with a browser: authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252).

There is one flow for each kind of redirect URI; see ``OpenReceiver``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

from nbauth.core.addresses import same_issuer
from nbauth.core.errors import ConfigurationError, SignInError
from nbauth.core.flow_names import BROWSER, CALLBACK, PASTE
from nbauth.core.steps import (
    AwaitRedirect,
    OpenBrowser,
    OpenReceiver,
    ReceiverKind,
    Receiving,
    Step,
)
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import (
    UNSET,
    AuthorizationRequest,
    Engine,
    PendingAuthorization,
)
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.flows.record import Flow

PROMPTS = frozenset({"select_account", "consent", "login", "create", "none", UNSET})


def run(
    engine: Engine, request: AuthorizationRequest, receiver: ReceiverKind = ReceiverKind.LOOPBACK
) -> Generator[Step, Any, TokenResponse]:
    """Open the provider's page, wait for the redirect, redeem its code."""
    if request.prompt is not None and request.prompt not in PROMPTS:
        raise ConfigurationError(
            f"The prompt {request.prompt!r} does not exist.",
            code="bad_prompt",
            hint=f"Choose one of {', '.join(sorted(PROMPTS))}.",
        )
    receiving: Receiving = yield OpenReceiver(secrets.token_urlsafe(32), receiver)
    pending = engine.authorize(request, receiving)
    yield OpenBrowser(pending.authorize_url, paste=receiver is ReceiverKind.NONE)
    answer: Mapping[str, str] = yield AwaitRedirect()
    check_response(pending, answer)
    return engine.redeem(pending, answer)


def check_response(pending: PendingAuthorization, answer: Mapping[str, str]) -> None:
    """Check that an authorization response belongs to its request, before its code is sent.

    Raises ``SignInError`` for the ``state`` of another request (RFC 6749 §10.12), for the ``iss``
    of another issuer (RFC 9207 §2.4), and for an error response. An error response without ``iss``
    is accepted, since several providers that announce ``iss`` omit it in errors.
    """
    state = str(answer.get("state", "")).encode(errors="replace")
    if not hmac.compare_digest(state, pending.state.encode()):
        raise SignInError(
            "The response belongs to another sign-in and was not used.",
            code="state_mismatch",
        )
    is_refusal = bool(answer.get("error")) and not answer.get("code")
    issuer = answer.get("iss")
    if issuer is None:
        wrong = pending.requires_iss and not is_refusal
    else:
        wrong = not same_issuer(issuer, pending.issuer)
    if wrong and is_refusal:
        raise SignInError(
            f"An error response came from the issuer {plain(issuer)} instead of"
            f" {plain(pending.issuer)} and was not used.",
            code="issuer_mismatch",
            hint="Run %login again; if it happens again, check that authority is the provider's"
            " issuer.",
        )
    if wrong:
        raise SignInError(
            "The response comes from another issuer and was not used.",
            code="issuer_mismatch",
            hint="Run %login again; if it happens again, someone may be tampering with the"
            " response: tell your administrator.",
        )
    if answer.get("error"):
        raise error_from(answer)
    if not answer.get("code"):
        raise SignInError("The provider sent neither a code nor an error.", code="no_code")


FLOWS = (
    Flow(
        BROWSER,
        run,
        label="Sign in with the browser",
        how="The provider's page opens in a new tab. The cell continues when you have signed in.",
        detail="redirect to a listener on loopback",
        receiver=ReceiverKind.LOOPBACK,
    ),
    Flow(
        CALLBACK,
        partial(run, receiver=ReceiverKind.JUPYTER_SERVER),
        label="Sign in with the browser",
        how="The provider's page opens in a new tab, and then returns to your Jupyter server.",
        detail="redirect to your own Jupyter server",
        receiver=ReceiverKind.JUPYTER_SERVER,
    ),
    Flow(
        PASTE,
        partial(run, receiver=ReceiverKind.NONE),
        label="Sign in and paste an address",
        how="You sign in on the provider's page, then paste the address of the last page here.",
        detail="you paste the address of the last page",
    ),
)
