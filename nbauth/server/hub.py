"""For administrators of JupyterHub: redirects answers from the registered address to the server.

In ``jupyterhub_config.py``::

    import nbauth.server.hub
    nbauth.server.hub.configure(c)

The hub's own ``/hub/user-redirect/`` always goes to the default server, starts it if it is
stopped, and writes code and state into the hub's log on the way.
"""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import parse_qs

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError

from nbauth.core.callback_state import CallbackState

CALLBACK = "nbauth/callback"
LOGGERS = ("JupyterHub", "tornado.access", "tornado.application", "tornado.general")
_ANSWER = re.compile(r"(nbauth(?:/|%(?:25)*2F)callback)[^\s'\"]+", re.IGNORECASE)


def configure(c: Any) -> None:
    """Install the hook, mend strict cookies, and keep answers out of the hub's log.

    Answers would be logged when they meet the login page or an error.

    Args:
        c: the configuration object of ``jupyterhub_config.py``.
    """
    c.JupyterHub.user_redirect_hook = user_redirect_hook
    mend_strict_cookies()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(without_answers)


def mend_strict_cookies() -> None:
    """Let sign-ins end well on a hub whose cookies are ``SameSite=Strict``.

    The browser sends none of those with the provider's redirect, and the hub would show its login
    page. A page of ours stands before the hub's own at that address, and asks for it once more.
    """
    try:
        from jupyterhub import handlers  # type: ignore[import-untyped]

        from nbauth.server.hub_page import CallbackRedirectHandler

        routes = handlers.default_handlers
    except (ImportError, AttributeError):
        return
    route = (rf"/user-redirect/{CALLBACK}/?", CallbackRedirectHandler)
    if route not in routes:
        routes.insert(0, route)


def user_redirect_hook(
    path: str,
    request: HTTPServerRequest,
    user: Any,
    base_url: str,  # noqa: ARG001
) -> str | None:
    """Send a sign-in's answer straight to the server named in its ``state``.

    Other paths than ``nbauth/callback`` are left to the hub. A server that the user does not have,
    or that is not running, is refused with 404: no kernel waits there.
    """
    if path.strip("/") != CALLBACK:
        return None
    states = parse_qs(request.query).get("state", [])
    server_name = ""
    if states:
        try:
            server_name = CallbackState.parse(states[0]).server_name
        except ValueError:
            raise HTTPError(400, reason="The address contains no response to a sign-in") from None
    spawner = user.spawners.get(server_name)
    if spawner is None or not spawner.active:
        # A reason, not a message: tornado logs messages with the whole address.
        raise HTTPError(
            404,
            reason="The server that began this sign-in has stopped, and its kernels have ended."
            " Start the server and sign in again.",
        )
    query = f"?{request.query}" if request.query else ""
    return f"{user.server_url(server_name)}{CALLBACK}{query}"


def without_answers(record: logging.LogRecord) -> bool:
    """A filter for loggers: removes the query of the callback's address, however it is escaped."""
    message = record.getMessage()
    if "nbauth" in message:
        record.msg, record.args = _ANSWER.sub(r"\1[secret]", message), ()
    return True
