"""The hub's page at the one registered address, for cookies that are ``SameSite=Strict``."""

from __future__ import annotations

import secrets

from jupyterhub.handlers.base import UserRedirectHandler  # type: ignore[import-untyped]

from nbauth.core.pages import PAGE_HEADERS, again_page, policy
from nbauth.server.same_site import asks_again

CALLBACK = "nbauth/callback"


class CallbackRedirectHandler(UserRedirectHandler):  # type: ignore[misc]
    """``/hub/user-redirect/nbauth/callback``: as the hub's own handler, which it calls.

    Before that, a browser that seems not to be logged in is asked to come once more.
    """

    async def get(self, path: str = CALLBACK) -> None:
        """Redirect to the server, to the login page, or to this page once more."""
        if self.current_user is None and asks_again(self.request.headers, self.request.query):
            nonce = secrets.token_urlsafe(16)
            for name, value in PAGE_HEADERS:
                self.set_header(name, value)
            self.set_header("Content-Security-Policy", policy(nonce))
            self.finish(again_page(nonce=nonce))
            return
        redirected = super().get(path)  # None where it has sent the browser to the login page
        if redirected is not None:
            await redirected
