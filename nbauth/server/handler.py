"""The page that the identity provider sends the browser back to.

It hands the answer to the kernel named in ``state``, and shows what that kernel says. It has no
other effect; an answer is worth nothing without the kernel's PKCE verifier.
"""

from __future__ import annotations

import os
import secrets
from functools import cached_property
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from nbauth.core.callback_state import CallbackState
from nbauth.core.own_pages import address_in
from nbauth.core.pages import (
    FOLLOW,
    PAGE_HEADERS,
    STRAY_REFUSAL,
    again_page,
    is_stray_refusal,
    page,
    policy,
    says,
    waiting_page,
)
from nbauth.server.delivery import Deliveries, Delivery, End, Told
from nbauth.server.same_site import asks_again

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
FIRST_WORD = 4.0
"""Seconds that the browser waits for a first page."""
NEXT_WORD = 20.0
"""Seconds that a page which follows a delivery waits for an answer; proxies allow for 60."""
AGAIN = "Return to your notebook and sign in again."
POSTED = (
    "The provider sent its response as a form. This page accepts a response only in its address"
    " (response_mode=query). Register no form_post, or return to your notebook and choose another"
    " way to sign in."
)
HANDED_OVER = "Delivered to your notebook"
ENDED = {
    End.UNKNOWN: (
        404,
        "Not signed in",
        "No sign-in waits for this response: the sign-in has ended, or the kernel was restarted."
        f" {AGAIN}",
    ),
    End.UNREACHABLE: (
        502,
        "Not delivered",
        "This server cannot reach the kernel that began this sign-in, so the sign-in is still"
        " waiting. Return to your notebook to choose another way, or to cancel the sign-in and"
        " start again.",
    ),
    End.GONE: (
        404,
        "Not signed in",
        f"The kernel that began this sign-in has ended, or is not on this server. {AGAIN}",
    ),
    End.UNTOLD: (
        200,
        HANDED_OVER,
        "This page does not know the result of the sign-in. Your notebook shows it.",
    ),
}
LATER = "Your notebook will show the result of the sign-in, and this page will show it too."
CONNECTING = ("Connecting to your notebook", f"This server is connecting to the kernel. {LATER}")
BUSY = (
    HANDED_OVER,
    f"The kernel has not replied yet; it may be busy with a computation. {LATER}",
)
ASKING = (
    HANDED_OVER,
    f"The kernel has the response and is requesting tokens from the provider. {LATER}",
)


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

    def initialize(self, deliveries: Deliveries) -> None:
        """Share the server's deliveries with its other requests."""
        super().initialize()
        self._deliveries = deliveries

    @allow_unauthenticated
    async def get(self) -> None:
        """Take a response, or show the state of a delivery. Both need a login."""
        if not self.current_user and asks_again(self.request.headers, self.request.query):
            self.finish(again_page(nonce=self._nonce))
            return
        answering = self._get()
        if answering is not None:  # it is None where the browser was sent to the login page
            await answering

    @web.authenticated
    @authorized("execute")
    async def _get(self) -> None:
        if not self._is_owner():
            self._show(
                403,
                "Not your server",
                "This server belongs to another user, so it does not accept your sign-in. Sign in"
                " from a notebook on your own server.",
            )
            return
        try:
            answer = _parameters(self.request.query)
            if ticket := self.get_query_argument(FOLLOW, ""):
                await self._follow(ticket)
                return
            if not answer:
                self._show(
                    200,
                    "Callback page of nbauth",
                    "After a sign-in for a notebook on this server, the provider redirects the"
                    " browser to this page. You do not have to do anything here.",
                )
                return
            if is_stray_refusal(answer):
                self._show(400, "The provider refused", f"{says(answer)} {STRAY_REFUSAL}")
                return
            state = CallbackState.parse(answer.get("state", ""))
            if not answer.get("code") and not answer.get("error"):
                raise ValueError("no answer")
        except ValueError:
            self._show(
                400, "Not signed in", f"The address contains no response to a sign-in. {AGAIN}"
            )
            return
        delivery = self._deliveries.begin(self.kernel_manager, state, answer)
        self._tell(delivery, await delivery.end(FIRST_WORD))

    async def _follow(self, ticket: str) -> None:
        delivery = self._deliveries.named(ticket)
        if delivery is None:
            self._show(*ENDED[End.UNTOLD])
        else:
            self._tell(delivery, await delivery.end(NEXT_WORD))

    def _tell(self, delivery: Delivery, end: Told | End | None) -> None:
        if end is None:
            self.set_status(202)
            words = ASKING if delivery.taken else BUSY if delivery.sent else CONNECTING
            self.finish(waiting_page(*words, delivery.ticket, nonce=self._nonce))
        elif isinstance(end, End):
            self._show(*ENDED[end])
        else:
            self._show_last(end)

    def _show_last(self, end: Told) -> None:
        """The last page; the kernel's fragment is cleaned and its address checked here too."""
        if address := address_in(end.own):
            self.set_status(303)
            self.set_header("Location", address)
            self.finish()
            return
        self.finish(page(end.title, end.text, nonce=self._nonce, fragment=end.own))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show errors of the server's own (403, 405…) on a page with the same restrictions."""
        posted = status_code == 405 and self.request.method == "POST"
        self._show(status_code, responses.get(status_code, "Error"), POSTED if posted else AGAIN)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log without the address: tornado would log it whole, with code and state."""
        if not isinstance(value, web.HTTPError):
            self.log.error("nbauth: the callback page failed", exc_info=(typ, value, tb))

    def _is_owner(self) -> bool:
        """Whether the owner asks: a hub also admits administrators and users of a share."""
        owner = os.environ.get("JUPYTERHUB_USER")
        user: Any = self.current_user
        kind = getattr(user, "hub_user", {}).get("kind", "user")
        return not owner or (user.username == owner and kind == "user")

    def _show(self, status: int, title: str, text: str) -> None:
        self.set_status(status)
        self.finish(page(title, text, nonce=self._nonce))


def _parameters(query: str) -> dict[str, str]:
    """The parameters of a response. ``ValueError`` if one occurs twice (RFC 6749 §3.1)."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    known = [(name, value) for name, value in pairs if name in PARAMETERS]
    answer = dict(known)
    if len(answer) != len(known):
        raise ValueError("a parameter twice")
    return answer
