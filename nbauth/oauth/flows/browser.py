"""Sign in in a browser: authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252).

One flow for every place that the browser can come back to; see ``OpenReceiver``.
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
    """Send the person to the provider, wait for the redirect, redeem its code."""
    if request.prompt is not None and request.prompt not in PROMPTS:
        raise ConfigurationError(
            f"There is no prompt {request.prompt!r}.",
            code="bad_prompt",
            hint=f"Choose one of {', '.join(sorted(PROMPTS))}.",
        )
    receiving: Receiving = yield OpenReceiver(secrets.token_urlsafe(32), receiver)
    pending = engine.authorize(request, receiving)
    yield OpenBrowser(pending.authorize_url, paste=receiver is ReceiverKind.NONE)
    answer: Mapping[str, str] = yield AwaitRedirect()
    check_answer(pending, answer)
    return engine.redeem(pending, answer)


def check_answer(pending: PendingAuthorization, answer: Mapping[str, str]) -> None:
    """Hold an authorization response to its request before anything is sent anywhere.

    Raises ``SignInError`` for another request's ``state`` (RFC 6749 §10.12) and another issuer's
    ``iss`` (RFC 9207 §2.4), and the provider's own error if that is what it carries. An error is
    shown though its ``iss`` is missing: several providers promise one and leave it out there.
    """
    state = str(answer.get("state", "")).encode(errors="replace")
    if not hmac.compare_digest(state, pending.state.encode()):
        raise SignInError(
            "The answer belongs to another sign-in; it was not used.",
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
            f"A refusal came back that names another issuer, {plain(issuer)}, than the one that"
            f" was asked, {plain(pending.issuer)}; it was not used.",
            code="issuer_mismatch",
            hint="Run %login again; if it repeats, check that authority is the provider's issuer.",
        )
    if wrong:
        raise SignInError(
            "The answer comes from another issuer; it was not used.",
            code="issuer_mismatch",
            hint="Run %login again; if it repeats, the answer is tampered with: tell your"
            " administrator.",
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
        how="The provider's page opens in a new tab and comes back by itself.",
        detail="the browser comes back to a listener on loopback",
        receiver=ReceiverKind.LOOPBACK,
    ),
    Flow(
        CALLBACK,
        partial(run, receiver=ReceiverKind.JUPYTER_SERVER),
        label="Sign in with the browser",
        how="The provider's page opens in a new tab and comes back to this Jupyter server.",
        detail="the browser comes back to your own Jupyter server",
        receiver=ReceiverKind.JUPYTER_SERVER,
    ),
    Flow(
        PASTE,
        partial(run, receiver=ReceiverKind.NONE),
        label="Paste the address back",
        how="You sign in on the provider's page and bring the address it ends at back here.",
        detail="you paste the address at which the browser ended",
    ),
)
