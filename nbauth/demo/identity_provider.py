"""The local identity provider, with the shape of Microsoft's v2.0 endpoints.

Programs talk to it over https; a person's browser sees its pages over plain http on another port,
so that no certificate warning appears. Both listen on 127.0.0.1 only.
"""

from __future__ import annotations

import secrets

from tornado.web import Application

from .endpoint import Endpoint, Provider
from .grants import GrantStore
from .sign_in import AuthorizeEndpoint, DeviceEndpoint, InteractionEndpoint, LogoutEndpoint
from .signing import Signer
from .token_endpoint import (
    DeviceAuthorizationEndpoint,
    KeysEndpoint,
    MetadataEndpoint,
    TokenEndpoint,
)

TENANT_ID = "5d0a7c1e-0d3e-4b6a-9c55-6c6f63616c00"
CLIENT_ID = "6e625f61-7574-4a64-9d6f-6e6f7465626f"


def make_provider(
    origin: str, page_origin: str, store: GrantStore, pages_url: str | None = None
) -> Provider:
    """A provider with a new key and a new password, for these origins (see `Provider`)."""
    authority = f"{origin}/{TENANT_ID}"
    return Provider(
        tenant_id=TENANT_ID,
        client_id=CLIENT_ID,
        client_name="nbauth local demo",
        password=f"{secrets.token_hex(3)}-{secrets.token_hex(3)}",
        origin=origin,
        page_origin=page_origin,
        pages_url=pages_url or page_origin,
        store=store,
        signer=Signer(f"{authority}/v2.0", TENANT_ID),
    )


class _NotFound(Endpoint):
    def prepare(self) -> None:
        self.send_error(404)


def make_protocol_application(provider: Provider) -> Application:
    """The https side: what programs call."""
    tenant = r"/([^/]+)"
    return Application(
        [
            (tenant + r"/v2\.0/\.well-known/openid-configuration", MetadataEndpoint),
            (tenant + r"/discovery/v2\.0/keys", KeysEndpoint),
            (tenant + r"/oauth2/v2\.0/token", TokenEndpoint),
            (tenant + r"/oauth2/v2\.0/devicecode", DeviceAuthorizationEndpoint),
        ],
        default_handler_class=_NotFound,
        log_function=no_log,
        provider=provider,
    )


def make_page_application(provider: Provider) -> Application:
    """The http side: what a person sees."""
    tenant = r"/([^/]+)"
    return Application(
        [
            (tenant + r"/oauth2/v2\.0/authorize", AuthorizeEndpoint),
            (tenant + r"/oauth2/v2\.0/logout", LogoutEndpoint),
            (r"/device", DeviceEndpoint),
            (r"/interaction", InteractionEndpoint),
        ],
        default_handler_class=_NotFound,
        log_function=no_log,
        provider=provider,
        interactions={},
    )


def no_log(_: object) -> None:
    """Log nothing: addresses contain codes and states."""
