"""The endpoints that a person's browser visits: authorize, device, sign-in, consent, logout."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlencode

from .contents import SIGN_IN_PEOPLE
from .endpoint import PageEndpoint
from .grants import Request
from .interaction import SESSION_COOKIE, Interaction, SignInEndpoint, is_loopback
from .pages import device_page, message_page, sign_in_page
from .protocol_errors import ProtocolError

_PROMPTS = {"none", "login", "consent", "select_account", "create"}


class AuthorizeEndpoint(SignInEndpoint):
    """RFC 6749 section 4.1.1 with PKCE (RFC 7636 section 4.3), S256 only."""

    def get(self, tenant: str) -> None:
        # Until client and redirect_uri are known to be good, a refusal is a page: 4.1.2.1.
        self.check_tenant(tenant)
        client_id, redirect_uri = self.check_client(), self.require("redirect_uri")
        if not is_loopback(redirect_uri):
            raise ProtocolError(
                "invalid_request",
                50011,
                f"The redirect URI '{redirect_uri}' does not match those of the application: "
                "http://localhost and http://127.0.0.1, any port and path.",
            )
        interaction = Interaction(Request(client_id, ()), redirect_uri, self.field("state"))
        try:
            self._read(interaction, client_id)
        except ProtocolError as error:
            body = error.body(self.correlation_id())
            self.respond(interaction, {k: str(body[k]) for k in ("error", "error_description")})
        else:
            self.begin(interaction)

    def _read(self, interaction: Interaction, client_id: str) -> None:
        mode = self.field("response_mode") or "query"
        if mode not in ("query", "form_post"):
            raise ProtocolError("invalid_request", 70007, f"The response_mode '{mode}'.")
        interaction.response_mode = mode
        if self.require("response_type") != "code":
            raise ProtocolError("unsupported_response_type", 70005, "Only 'code' is offered.")
        interaction.request = self.token_request(client_id)
        interaction.code_challenge = self.field("code_challenge")
        method = self.field("code_challenge_method")
        if method != "S256" or not re.fullmatch(r"[\w-]{43}", interaction.code_challenge):
            raise ProtocolError("invalid_request", 9002325, "PKCE with S256 is required.")
        interaction.prompts = frozenset(self.field("prompt").split())
        if interaction.prompts - _PROMPTS or (
            "none" in interaction.prompts and len(interaction.prompts) > 1
        ):
            raise ProtocolError("invalid_request", 90023, "The value of 'prompt' is not valid.")
        interaction.login_hint = self.field("login_hint")
        max_age = self.field("max_age")
        if max_age and not max_age.isdecimal():
            raise ProtocolError("invalid_request", 90023, "The value of 'max_age' is not valid.")
        interaction.max_age = int(max_age) if max_age else None


class DeviceEndpoint(SignInEndpoint):
    """RFC 8628 section 3.3: the page where the code is typed in."""

    def get(self) -> None:
        self.show(device_page(self.root, self.field("user_code")))

    def post(self) -> None:
        typed = self.field("user_code")
        device = self.store.pending_device(typed)
        if device is None:
            error = "AADSTS70018: That code is not known, or no longer."
            self.show(device_page(self.root, typed, error))
            return
        self.begin(Interaction(device.request, device=device, prompts=frozenset()))


class InteractionEndpoint(SignInEndpoint):
    """What the buttons of the sign-in and consent pages do."""

    def post(self) -> None:
        key, action = self.field("interaction"), self.field("action") or "sign-in"
        interaction = self.interactions.get(key)
        if interaction is None:
            raise ProtocolError("invalid_request", 50089, "This page is too old; start again.")
        if action == "cancel":
            self.refuse(key, ProtocolError("access_denied", 65004, "User declined to consent."))
        elif action == "accept":
            self._accept(key, interaction)
        elif action == "continue":
            interaction.session = self.recent_session(interaction)
            self.advance(key, interaction)
        else:
            self._sign_in(key, interaction)

    def _accept(self, key: str, interaction: Interaction) -> None:
        if interaction.session is None or interaction.session != self.browser_session():
            raise ProtocolError("invalid_request", 50058, "Sign in first.")
        self.allow(key)

    def _sign_in(self, key: str, interaction: Interaction) -> None:
        username = self.field("username").strip().lower()
        person = SIGN_IN_PEOPLE.get(username)
        given, expected = self.field("password").encode(), self.provider.password.encode()
        if not secrets.compare_digest(given, expected) or person is None:
            error = "AADSTS50126: The user name or password is not correct."
            page = sign_in_page(self.root, key, username, error)
            self.show(page, form_action=interaction.redirect_uri)
            return
        session_id = self.store.start_session(person)
        # Without a path the browser uses this page's folder: the root, with a proxy's prefix.
        self.set_cookie(
            SESSION_COOKIE,
            session_id,
            path="",
            httponly=True,
            samesite="Lax",
            secure=self.is_https,
        )
        # The cookie is sent with the next request only; this one uses the session directly.
        interaction.session = self.store.sessions[session_id]
        self.advance(key, interaction)


class LogoutEndpoint(PageEndpoint):
    """OpenID Connect RP-Initiated Logout 1.0 section 2."""

    def get(self, tenant: str) -> None:
        self.check_tenant(tenant)
        self.store.sessions.pop(self.get_cookie(SESSION_COOKIE) or "", None)
        target = self.field("post_logout_redirect_uri")
        if target and is_loopback(target):
            state = self.field("state")
            self.redirect(f"{target}?{urlencode({'state': state})}" if state else target)
        else:
            self.show(message_page("You signed out", "Close this page."))
