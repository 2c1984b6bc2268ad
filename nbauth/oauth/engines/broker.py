"""Sign-in by the broker of the operating system, by MSAL; on Windows it is WAM.

The broker sends its requests itself: proxies and certificates of the settings do not apply to it.
Its window belongs to the console of the kernel, or to the desktop if there is no console. No
argument of MSAL ends its wait, so an abandoned request ends only with the window.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msal

from nbauth.core.errors import FlowUnavailable, InteractionRequired, SignInCancelled
from nbauth.core.flow_names import BROWSER, DEVICE
from nbauth.core.text import plain
from nbauth.oauth.engines.protocol import UNSET, AuthorizationRequest
from nbauth.oauth.engines.token_requests import Broker
from nbauth.oauth.error_catalogue import error_from, is_known

EXTRA = "Install it into the kernel's environment: pip install 'nbauth[broker]'."
PROMPTS = frozenset({None, UNSET, "none", "select_account"})
"""The prompts that a broker supports; nbauth refuses the others."""


def check_available() -> None:
    """Raise ``FlowUnavailable`` with the reason where no broker can be used."""
    try:
        import pymsalruntime  # noqa: F401 - it starts the broker's client when it is imported
    except ImportError as error:
        installed = "pymsalruntime" not in str(error)
        hint = "" if installed or sys.platform not in {"win32", "darwin", "linux"} else f" {EXTRA}"
        raise unavailable(plain(error), hint) from error
    except (OSError, RuntimeError, AttributeError) as error:
        raise unavailable(_reason(error)) from error


def application(client_id: str, **options: Any) -> Any:
    """MSAL's application that uses the broker of any platform."""
    return msal.PublicClientApplication(
        client_id,
        enable_broker_on_windows=True,
        enable_broker_on_mac=True,
        enable_broker_on_linux=True,
        enable_broker_on_wsl=True,
        **options,
    )


def answer_of(app: Any, wanted: Broker, request: AuthorizationRequest) -> Mapping[str, Any]:
    """MSAL's response. Raises what the broker reports."""
    if request.prompt not in PROMPTS:
        raise unavailable(f"a broker does not support prompt={request.prompt}")
    prompt = None if request.prompt == UNSET else request.prompt
    windows: list[str] = []
    try:
        result: Mapping[str, Any] = app.acquire_token_interactive(
            list(request.scopes.resource_scopes),
            prompt="none" if wanted.silent else prompt,
            login_hint=wanted.username or request.login_hint,
            max_age=request.max_age,
            claims_challenge=request.claims,
            parent_window_handle=app.CONSOLE_WINDOW_HANDLE,
            on_before_launching_ui=lambda ui="", **_: _only_a_broker(ui, windows),
        )
    except ValueError as error:  # MSAL lists the redirect addresses to register
        if "redirect_uri" not in str(error):
            raise
        raise unavailable("the application is not registered for it", f" {plain(error)}") from error
    if result.get("error") == "broker_error":
        raise _refused(plain(result.get("error_description") or ""), wanted)
    return result


def _only_a_broker(ui: str, seen: list[str]) -> None:
    """MSAL opens a browser on the kernel's machine if the broker did not start: refuse that."""
    seen.append(ui)
    if ui != "broker":
        raise unavailable("it did not start")


def _refused(told: str, wanted: Broker) -> Exception:
    status = told.partition("Status: ")[2].partition(",")[0].rpartition("Status_")[2]
    if status == "UserCanceled":
        return SignInCancelled("The sign-in was cancelled in the window of the operating system.")
    answer = {"error": "broker_error", "error_description": told}
    if is_known(answer):
        return error_from(answer)
    if wanted.silent and status in {"InteractionRequired", "AccountUnusable", "AccountNotFound"}:
        return InteractionRequired(
            f"The operating system requires you to sign in again. [{told}]",
            code="broker_error",
            hint="Sign in again: %login --flow broker.",
        )
    return unavailable(told)


def _reason(error: BaseException) -> str:
    text = plain(error)
    return text.partition("ErrorContext: ")[2].partition(", ErrorStatus")[0] or text


def unavailable(why: str, hint: str = "") -> FlowUnavailable:
    """The error where no broker can sign in."""
    return FlowUnavailable(
        f"No broker of the operating system is available here: {why.rstrip('.')}.",
        code="no_broker",
        hint=f"Sign in with a browser: %login --flow {BROWSER} (or --flow {DEVICE}).{hint}",
        suggested_flow=BROWSER,
    )
