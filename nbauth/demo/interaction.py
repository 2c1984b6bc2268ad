"""The steps between a request and its response: sign-in, consent, redirect, device approval."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from .endpoint import LOOPBACK_HOSTS, PageEndpoint
from .grants import DeviceCode, Grant, Request, Session
from .pages import consent_page, form_post_page, message_page, sign_in_page
from .protocol_errors import ProtocolError
from .scopes import graph_scopes

SESSION_COOKIE = "nbauth_demo_session"
_INTERACTION_LIFE = 900.0


@dataclass
class Interaction:
    """One authorization request, or one device code, that somebody is deciding about."""

    request: Request
    redirect_uri: str = ""
    state: str = ""
    response_mode: str = "query"
    code_challenge: str = ""
    login_hint: str = ""
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    device: DeviceCode | None = None
    session: Session | None = None  # who signed in for it, or was taken over from the browser
    started_at: float = 0.0


def is_loopback(redirect_uri: str) -> bool:
    """RFC 8252 section 7.3: http, 127.0.0.1 or localhost, any port and path."""
    try:
        parts = urlsplit(redirect_uri)
        _ = parts.port
    except ValueError:
        return False
    plain = parts.username is None and not parts.fragment and "#" not in redirect_uri
    return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and plain


class SignInEndpoint(PageEndpoint):
    """Takes each request through sign-in and consent to its response."""

    @property
    def interactions(self) -> dict[str, Interaction]:
        interactions: dict[str, Interaction] = self.application.settings["interactions"]
        return interactions

    def browser_session(self) -> Session | None:
        return self.store.sessions.get(self.get_cookie(SESSION_COOKIE) or "")

    def begin(self, interaction: Interaction) -> None:
        now = time.time()
        for key, old in list(self.interactions.items()):
            if now - old.started_at > _INTERACTION_LIFE:
                del self.interactions[key]
        interaction.started_at = now
        key = secrets.token_urlsafe(24)
        self.interactions[key] = interaction
        interaction.session = self._usable_session(interaction)
        self.advance(key, interaction)

    def _usable_session(self, interaction: Interaction) -> Session | None:
        """The browser's session, if the request allows it (OIDC Core 3.1.2.1)."""
        session = self.recent_session(interaction)
        if session is None or "select_account" in interaction.prompts:
            return None
        hint = interaction.login_hint.lower()
        return session if hint in ("", session.person.username) else None

    def recent_session(self, interaction: Interaction) -> Session | None:
        session = self.browser_session()
        if session is None or "login" in interaction.prompts:
            return None
        age = time.time() - session.auth_time
        if interaction.max_age is not None and age > interaction.max_age:
            return None
        return session

    def advance(self, key: str, interaction: Interaction) -> None:
        """Show the next page, or give the answer."""
        session, request = interaction.session, interaction.request
        silent = "none" in interaction.prompts
        if session is None:
            if silent:
                self.refuse(key, ProtocolError("login_required", 50058, "Nobody is signed in."))
                return
            known = self.recent_session(interaction)
            pick = known.person.username if known else ""
            self.show(
                sign_in_page(self.root, key, interaction.login_hint, signed_in_as=pick),
                form_action=interaction.redirect_uri,
            )
            return
        has_consent = self.store.has_consent(session.person, request.client_id, request.scopes)
        if interaction.device is None and has_consent and "consent" not in interaction.prompts:
            self.allow(key)
        elif silent:
            self.refuse(key, ProtocolError("interaction_required", 65001, "Consent is missing."))
        else:
            page = consent_page(
                self.root,
                key,
                session.person.username,
                self.provider.client_name,
                graph_scopes(request.scopes) or request.scopes,
                on_device=interaction.device is not None,
            )
            self.show(page, form_action=interaction.redirect_uri)

    def allow(self, key: str) -> None:
        interaction = self.interactions.pop(key)
        session = interaction.session
        assert session is not None
        grant = Grant(interaction.request, session.person, session.auth_time)
        self.store.consent(grant)
        if interaction.device is not None:
            interaction.device.grant, interaction.device.state = grant, "approved"
            self.show(message_page("You are signed in", "Close this page; go back to your work."))
            return
        code = self.store.issue_code(grant, interaction.redirect_uri, interaction.code_challenge)
        answer = {"code": code}
        if grant.request.client_info:
            answer["client_info"] = self.provider.signer.client_info(grant)
        self.respond(interaction, answer)

    def refuse(self, key: str, error: ProtocolError) -> None:
        interaction = self.interactions.pop(key)
        if interaction.device is not None:
            interaction.device.state = "declined"
            self.show(message_page("Cancelled", "Nobody was signed in. Close this page."))
            return
        body = error.body(self.correlation_id())
        answer = {name: body[name] for name in ("error", "error_description")}
        self.respond(interaction, answer)

    def respond(self, interaction: Interaction, answer: dict[str, str]) -> None:
        """RFC 6749 section 4.1.2, with `iss` (RFC 9207 section 2)."""
        answer["iss"] = self.provider.issuer
        if interaction.state:
            answer["state"] = interaction.state
        target = interaction.redirect_uri
        if interaction.response_mode == "form_post":
            self.show(form_post_page(target, answer), form_action=target)
        else:
            self.redirect(f"{target}{'&' if '?' in target else '?'}{urlencode(answer)}", status=303)
