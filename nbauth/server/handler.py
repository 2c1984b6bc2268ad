"""The page that the identity provider sends the browser back to.

It offers the answer to the kernel named in ``state``, and says what that kernel says. It holds
nothing, and has no other effect; an answer is worth nothing without the kernel's PKCE verifier.
"""

from __future__ import annotations

import os
import secrets
from functools import cached_property
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from nbauth.core.callback_state import CallbackState
from nbauth.core.pages import (
    PAGE_HEADERS,
    STRAY_REFUSAL,
    is_stray_refusal,
    page,
    policy,
    says,
)
from nbauth.server.delivery import Refusal, deliver

PARAMETERS = frozenset(
    {
        "code",
        "state",
        "iss",
        "error",
        "error_description",
        "error_uri",
        "session_state",
        "client_info",
    }
)
"""Of an authorization response (RFC 6749 §4.1.2, RFC 9207, OpenID Connect Session Management §2,
Microsoft's ``client_info``); others, such as JupyterHub's ``redirects``, are not passed on."""
AGAIN = "Return to your notebook and sign in again."
REFUSED = {
    Refusal.UNKNOWN: (
        404,
        "Not signed in",
        "No sign-in waits for this answer: it was used already, it came too late,"
        f" or the kernel has been restarted. {AGAIN}",
    ),
    Refusal.UNANSWERED: (
        504,
        "Not signed in",
        f"The kernel that began this sign-in did not answer. {AGAIN}",
    ),
}


class CallbackHandler(JupyterHandler):
    """``{base_url}nbauth/callback``: GET only, for the server's owner only.

    An answer comes as a query: a form that a provider posts carries no cookie by which its owner
    would be known (SameSite), and a fragment reaches no server.
    """

    SUPPORTED_METHODS = ("GET",)
    auth_resource = "kernels"

    @cached_property
    def _nonce(self) -> str:
        return secrets.token_urlsafe(16)

    @property
    def content_security_policy(self) -> str:
        # It is read before prepare(), and again for every error page.
        return policy(self._nonce)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in PAGE_HEADERS:
            if name != "Content-Security-Policy":
                self.set_header(name, value)

    @web.authenticated
    @authorized("execute")
    async def get(self) -> None:
        if not self._is_owner():
            self._show(
                403,
                "Not your server",
                "This server is somebody else's, and the answer was not passed on."
                " Sign in from a notebook on a server of your own.",
            )
            return
        try:
            answer = _parameters(self.request.query)
            if not answer:
                self._show(
                    200,
                    "Sign-ins come back here",
                    "A browser that signs in for one of this server's notebooks ends on this page."
                    " There is nothing to do here.",
                )
                return
            if is_stray_refusal(answer):
                self._show(400, "The provider refused", f"{says(answer)} {STRAY_REFUSAL}")
                return
            state = CallbackState.parse(answer.get("state", ""))
            if not answer.get("code") and not answer.get("error"):
                raise ValueError("no answer")
        except ValueError:
            self._show(400, "Not signed in", f"That is no answer to a sign-in. {AGAIN}")
            return
        if state.kernel_id not in self.kernel_manager:
            self._show(404, "Not signed in", f"The kernel that began this sign-in is gone. {AGAIN}")
            return
        outcome = await deliver(self.kernel_manager, state, answer)
        if isinstance(outcome, Refusal):
            self._show(*REFUSED[outcome])
        elif outcome is None:
            self._show(
                200,
                "Return to your notebook",
                "It has the answer and is still asking the provider; it shows how that ends.",
            )
        else:
            self._show(200, *outcome)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors of the server's own (403, 405…) on a page that can do as little as ours."""
        self._show(status_code, responses.get(status_code, "Error"), AGAIN)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado would write the whole address into the log, with code and state."""
        if not isinstance(value, web.HTTPError):
            self.log.error("nbauth: the callback page failed", exc_info=(typ, value, tb))

    def _is_owner(self) -> bool:
        """On a hub, whoever a server was shared with, and administrators, are let in as well."""
        owner = os.environ.get("JUPYTERHUB_USER")
        user: Any = self.current_user
        kind = getattr(user, "hub_user", {}).get("kind", "user")
        return not owner or (user.username == owner and kind == "user")

    def _show(self, status: int, title: str, text: str) -> None:
        self.set_status(status)
        self.finish(page(title, text, nonce=self._nonce))


def _parameters(query: str) -> dict[str, str]:
    """What a response may carry. ``ValueError`` for a parameter that is there twice (§3.1)."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    known = [(name, value) for name, value in pairs if name in PARAMETERS]
    answer = dict(known)
    if len(answer) != len(known):
        raise ValueError("a parameter twice")
    return answer
