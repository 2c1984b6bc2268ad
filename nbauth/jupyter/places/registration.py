"""The doctor's part about what to register at the provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.flow_names import BROWSER, CALLBACK, DEVICE, PASTE
from nbauth.core.settings import CREDENTIALS
from nbauth.core.text import plain
from nbauth.jupyter.places.environment import Place, kernel
from nbauth.jupyter.places.in_words import INDENT, entry, shown
from nbauth.kernel.sign_in.receivers.callback_address import callback_address, placeholder
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.jupyter.panel.page import Page


def to_register(here: Place, client: Client, page: Page | None) -> Iterator[str]:
    """The client and, for each flow, what its registration needs."""
    settings, microsoft = client.settings, client.authority.microsoft
    loopback = "http://localhost" if microsoft else "http://127.0.0.1"
    own = settings.loopback_uri
    needs = {
        f"{BROWSER}, {PASTE}": shown(own) if own else f"{loopback}, any port",
        CALLBACK: _callback_address(settings.redirect_uri, page),
        DEVICE: "public client flows allowed" if microsoft else "the device code grant",
    }
    confidential = any(getattr(settings, name) for name in CREDENTIALS)
    if microsoft and confidential:
        needs[DEVICE] = "not possible: only public clients can use it"
    if settings.redirect_uri != own:
        needs["redirect_uri"] = shown(settings.redirect_uri)
    if CALLBACK not in here.ways and kernel() is not None:
        del needs[CALLBACK]
    kind = "native (desktop)" if confidential else "public (native)"
    kind = "web (confidential)" if microsoft and confidential else kind
    yield from entry("signs in at", f"{client.authority.url} ({client.authority.kind})")
    if not client.client_id:
        yield from entry("register", "a client_id is needed for the sign-in of a person")
        return
    yield from entry(
        "register",
        f"client {plain(client.client_id)}, as a {kind} client, with",
        *(f"{way:{INDENT}}  {need}" for way, need in needs.items()),
    )


def _callback_address(configured: str | None, page: Page | None) -> str:
    try:
        return callback_address(page, os.environ, configured)[0]
    except FlowUnavailable:
        return placeholder(os.environ)
    except ConfigurationError:
        return _callback_address(None, page)
