"""What all of the provider's endpoints share: loopback only, checked parameters, errors."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tornado.web import HTTPError, RequestHandler

from .grants import GrantStore, Request
from .pages import Page, message_page
from .protocol_errors import ProtocolError
from .scopes import parse_scopes
from .signing import Signer

LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Provider:
    """The one tenant, its one registered client, its addresses and its state."""

    tenant_id: str
    client_id: str
    client_name: str
    password: str = field(repr=False)
    origin: str  # https://127.0.0.1:PORT
    page_origin: str  # http://127.0.0.1:PAGEPORT
    pages_url: str  # where a person's browser finds the pages: page_origin, or its outside address
    store: GrantStore = field(repr=False)
    signer: Signer

    @property
    def authority(self) -> str:
        return f"{self.origin}/{self.tenant_id}"

    @property
    def issuer(self) -> str:
        return f"{self.authority}/v2.0"

    @property
    def verification_uri(self) -> str:
        return f"{self.pages_url}/device"

    @property
    def is_local(self) -> bool:
        """Whether browser and pages are on one computer."""
        return self.pages_url == self.page_origin


class Endpoint(RequestHandler):
    """The base of every handler; refusals are JSON unless a subclass shows pages."""

    @property
    def provider(self) -> Provider:
        provider: Provider = self.application.settings["provider"]
        return provider

    @property
    def store(self) -> GrantStore:
        return self.provider.store

    def hosts(self) -> tuple[str, ...]:
        """The names under which this endpoint answers."""
        return LOOPBACK_HOSTS

    def prepare(self) -> None:
        # A name that an attacker points at 127.0.0.1 (DNS rebinding) must not reach the pages.
        if self.request.host_name not in self.hosts():
            raise HTTPError(421)

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.clear_header("Server")

    def field(self, name: str) -> str:
        """One parameter; a repeated one is refused (RFC 6749 section 3.1)."""
        values = self.get_arguments(name, strip=False)
        if len(values) > 1:
            raise ProtocolError("invalid_request", 9000411, f"The parameter '{name}' is repeated.")
        return values[0] if values else ""

    def require(self, name: str) -> str:
        value = self.field(name)
        if not value:
            raise ProtocolError("invalid_request", 900144, f"The parameter '{name}' is missing.")
        return value

    def check_tenant(self, tenant: str) -> None:
        if tenant.lower() not in (self.provider.tenant_id, "common", "organizations"):
            raise ProtocolError("invalid_request", 90002, f"Tenant '{tenant}' not found.")

    def check_client(self) -> str:
        client_id = self.require("client_id")
        if client_id.lower() != self.provider.client_id:
            raise ProtocolError(
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory.",
            )
        return self.provider.client_id

    def claims(self) -> Mapping[str, Any]:
        """The claims request parameter (OpenID Connect Core 1.0 section 5.5)."""
        text = self.field("claims")
        try:
            claims = json.loads(text) if text else {}
        except ValueError:
            claims = None
        if not isinstance(claims, dict):
            raise ProtocolError("invalid_request", 90094, "The parameter 'claims' isn't JSON.")
        return claims

    def token_request(self, client_id: str) -> Request:
        return Request(
            client_id=client_id,
            scopes=parse_scopes(self.require("scope")),
            claims=self.claims(),
            nonce=self.field("nonce"),
            client_info=self.field("client_info") == "1",
            tells_auth_time=bool(self.field("max_age")),
        )

    def correlation_id(self) -> str:
        given = self.request.headers.get("client-request-id", "")
        try:
            return str(uuid.UUID(given))
        except ValueError:
            return str(uuid.uuid4())

    def write_json(self, body: Mapping[str, Any]) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(body))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(error, ProtocolError):
            error = ProtocolError("invalid_request", 900561, f"HTTP {status_code}.")
            error.status_code = status_code
        self.write_json(error.body(self.correlation_id()))


class PageEndpoint(Endpoint):
    """An endpoint that a person looks at, in a browser."""

    def hosts(self) -> tuple[str, ...]:
        return (*LOOPBACK_HOSTS, urlsplit(self.provider.pages_url).hostname or "")

    @property
    def is_https(self) -> bool:
        """Whether the browser used https: a proxy may offer it, these pages themselves do not."""
        outside = self.request.host_name not in LOOPBACK_HOSTS
        return outside and self.provider.pages_url.lower().startswith("https:")

    @property
    def root(self) -> str:
        """The relative path from this page to the root; a proxy may have put a prefix before it."""
        return "../" * (self.request.path.count("/") - 1)

    def show(self, page: Page, *, status: int = 200, form_action: str = "") -> None:
        """Write a page. Its policy allows no other scripts, resources, frames or form targets.

        Chromium applies form-action to the redirect after a post as well, hence `form_action`.
        """
        nonce = secrets.token_urlsafe(16)
        targets = f"'self' {_origin(form_action)}" if form_action else "'self'"
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            f"form-action {targets}; base-uri 'none'; frame-ancestors 'none'",
        )
        self.finish(page.html(nonce, local=self.provider.is_local))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        text = error.description if isinstance(error, ProtocolError) else f"HTTP {status_code}."
        self.show(message_page("Sorry, that did not work", text), status=status_code)


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
