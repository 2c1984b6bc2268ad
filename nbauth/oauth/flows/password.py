"""Sign-in with a user name and a password (RFC 6749 §4.3), for those who cannot use a browser."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from typing import Any

from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInError,
)
from nbauth.core.flow_names import BROWSER, PASSWORD
from nbauth.core.log import trail
from nbauth.core.secret import SecretStr
from nbauth.core.steps import AskPassword, Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.engines.token_requests import Password
from nbauth.oauth.error_catalogue import wrong_password
from nbauth.oauth.flows.record import Flow
from nbauth.oauth.offer import check_grant

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
"""How often a sign-in sends a password. Providers lock an account after about ten."""
WHY_NOT = (
    "A password that is typed here passes through the notebook and this kernel, and rules out"
    " multi-factor authentication and single sign-on: sign in with the browser or with a code"
    " if you can."
)
_AGAIN = frozenset(
    {
        "AADSTS50126", "AADSTS50034", "AADB2C90225", "wrong_password",
        "personal_account", "unknown_user_type", "no_username", "wstrust_password", "bad_character",
    }
)  # fmt: skip
"""The codes of a wrong user name or password, which the person can correct."""
_PERSONAL = re.compile(
    r"(?:outlook|hotmail|windowslive|passport)\.[a-z.]{2,6}|msn\.com|live\.(?:com|com\.[a-z]{2}"
    r"|ca|cn|de|dk|fr|ie|in|it|jp|nl|no|ru|se|be|at|cl|co\.uk|co\.za|co\.kr)",
    re.IGNORECASE,
)
"""The mail domains of Microsoft's own personal accounts."""


def run(engine: Engine, request: AuthorizationRequest) -> Generator[Step, Any, TokenResponse]:
    """Ask for user name and password, and send them; ask again if they are wrong."""
    check(engine.authority, request)
    _check_offered(engine)
    username, refusal, sent, asked = request.login_hint or "", None, 0, 0
    while True:
        asked += 1
        note = WHY_NOT if asked == 1 else ""
        username, password = yield AskPassword(username, note, refusal, asked)
        refusal = personal_account(engine.authority, username) or _unsendable(username, password)
        if refusal is None:
            sent += 1
            outcome = _outcome(engine, username, password, request)
            if isinstance(outcome, TokenResponse):
                return outcome
            refusal = outcome
        del password
        if refusal.code not in _AGAIN:
            raise refusal
        if sent >= MOST_ATTEMPTS:
            refusal.suggested_flow = None  # the flow works, the password does not
            raise refusal


def check(authority: Authority, request: AuthorizationRequest) -> None:
    """Refuse what cannot work, before a password is asked for or anything is sent."""
    authority.refuse_accounts_of_any_tenant("Sign-in with a password")
    refused = personal_account(authority, request.login_hint or "")
    if refused is not None:
        raise refused


def personal_account(authority: Authority, username: str) -> NbAuthError | None:
    """The error for a personal Microsoft account at Entra, where only work accounts can do this."""
    _, at, domain = username.strip().rpartition("@")
    if authority.kind != "entra" or not at or not _PERSONAL.fullmatch(domain):
        return None
    return FlowUnavailable(
        "Personal Microsoft accounts cannot sign in by password here.",
        code="personal_account",
        hint=f"Use a work or school account, or %login --flow {BROWSER}.",
        suggested_flow=BROWSER,
    )


def _unsendable(username: str, password: SecretStr) -> NbAuthError | None:
    """The error for half of a surrogate pair, which no request can contain."""
    if not re.search("[\ud800-\udfff]", f"{username}{password}"):
        return None
    return ConfigurationError(
        "The user name or the password contains a character that cannot be sent.",
        code="bad_character",
        hint=f"Type it again, or sign in with a browser: %login --flow {BROWSER}.",
    )


def _check_offered(engine: Engine) -> None:
    """Raise ``FlowUnavailable`` if the metadata lists grant types without this one."""
    check_grant(engine.offer().grants, "password")


def _outcome(
    engine: Engine, username: str, password: SecretStr, request: AuthorizationRequest
) -> TokenResponse | NbAuthError:
    """The tokens, or the error without its cause and traceback, which contain the password."""
    try:
        return engine.obtain(Password(username, password), request)
    except NbAuthError as error:
        refused = _as_advice(error)
        refused.__cause__ = refused.__context__ = None
        return refused.with_traceback(None)
    except Exception as error:
        log.debug("the password could not be sent: %s", trail(error))
        kind = type(error).__name__
    return SignInError(f"The sign-in failed: {kind}.", code="not_understood")


def _as_advice(error: NbAuthError) -> NbAuthError:
    """The error as it reads for a sign-in by password."""
    error = wrong_password(error)
    if isinstance(error, InteractionRequired) and error.suggested_flow is None:
        error.suggested_flow = BROWSER
    return error


FLOW = Flow(
    PASSWORD,
    run,
    label="Sign in with a password",
    how="You type your user name and password here. Not with multi-factor authentication.",
    detail="user name and password are sent to the provider; not recommended",
    offered=False,
    check=check,
    asks_password=True,
)
