"""A Jupyter Server extension: the page that a sign-in comes back to, for kernels of this server.

It runs in the server's process and imports nothing else of nbauth but ``nbauth.core``.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "nbauth.server"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from jupyter_server.utils import url_path_join

    from nbauth.core.pages import FOLLOW
    from nbauth.server.delivery import Deliveries
    from nbauth.server.handler import CallbackHandler

    settings = serverapp.web_app.settings
    address = url_path_join(settings["base_url"], "nbauth/callback")
    route = (address, CallbackHandler, {"deliveries": Deliveries()})
    serverapp.web_app.add_handlers(".*$", [route])
    # A browser without a login is sent to /login?next=…, and the server would log that address.
    scrubbed = settings.get("extra_log_scrub_param_keys", [])
    settings["extra_log_scrub_param_keys"] = [*scrubbed, "next", FOLLOW]
