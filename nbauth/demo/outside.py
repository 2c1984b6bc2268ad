"""The address of the provider's pages for a browser that reaches this computer through a hub.

`python -m nbauth.demo.outside` prints the value for `--pages-url` here, or why there is none.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"https?://[A-Za-z0-9\-._~:/%@!$&'()*+,;=\[\]]+", re.IGNORECASE)


def pages_address(template: str, port: int) -> str:
    """The template with the pages' port for each `{port}`, and no slash at its end.

    Raises ValueError, in one plain sentence, for what no browser elsewhere could open.
    """
    if template.startswith("/") and not template.startswith("//"):
        raise ValueError(
            f"{template!r} is a path only: a browser on another computer opens the pages, "
            "so write the whole address with https:// and the host"
        )
    address = template.replace("{port}", str(port))
    try:
        parts = urlsplit(address)
        good = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        good = False
    if not good or not _ADDRESS.fullmatch(address):
        raise ValueError(
            f"{template!r} is not a valid address: "
            "write https://HOST/PATH without user name, query or fragment"
        )
    return address.rstrip("/")


def find_pages_url(environment: Mapping[str, str]) -> str:
    """The `--pages-url` under jupyter-server-proxy, from what JupyterHub tells its servers.

    Raises ValueError with the reason where the outside address can't be known.
    """
    server = environment.get("JUPYTERHUB_PUBLIC_URL", "")
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "")
    hub = urlsplit(environment.get("JUPYTERHUB_PUBLIC_HUB_URL", ""))
    # JUPYTERHUB_HOST is set where every user has a host of their own, which the hub's isn't.
    if not server and prefix and hub.netloc and not environment.get("JUPYTERHUB_HOST"):
        server = f"{hub.scheme}://{hub.netloc}{prefix}"
    if server:
        template = f"{server.rstrip('/')}/proxy/{{port}}"
        pages_address(template, 1)
        return template
    if not prefix:
        raise ValueError("This is not a JupyterHub server: JUPYTERHUB_SERVICE_PREFIX is not set.")
    launcher = environment.get("BINDER_LAUNCH_HOST", "")
    aside = f" {launcher} launched it, but another host may serve it." if launcher else ""
    raise ValueError(
        f"This server's path is {prefix}, but its host is not known: the hub sets neither "
        f"JUPYTERHUB_PUBLIC_URL nor JUPYTERHUB_PUBLIC_HUB_URL.{aside} "
        "The hub's administrator can set c.JupyterHub.public_url."
    )


if __name__ == "__main__":
    try:
        print(find_pages_url(os.environ))
    except ValueError as error:
        sys.exit(str(error))
