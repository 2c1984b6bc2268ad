"""Whether others can read what is sent to an address of Dask."""

from __future__ import annotations

import contextlib
import ipaddress

from distributed.comm import get_address_host

from nbauth.core.errors import ConfigurationError

ENCRYPTED = ("tls", "wss", "inproc", "gateway")
"""Schemes of addresses whose traffic nobody else can read. ``gateway`` is dask-gateway's, whose
clients always use TLS (dask_gateway/comm.py)."""


def is_private(address: str) -> bool:
    """Whether nobody else can read what is sent to an address of Dask: by TLS, or loopback."""
    if address.partition("://")[0] in ENCRYPTED:
        return True
    host = str(get_address_host(address)) if address.startswith("tcp://") else ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    return host == "localhost"


def check_private(address: str) -> None:
    """Raise ``ConfigurationError`` for an address whose traffic others can read."""
    if not is_private(address):
        raise not_private(address)


def not_private(address: str) -> ConfigurationError:
    """The error for an address whose traffic others can read."""
    return ConfigurationError(
        f"The connection to {address} is not encrypted: an access token could be read on the"
        " network.",
        code="not_private",
        hint="Start the scheduler and the workers with TLS (the option security of the cluster),"
        " or run them on this machine.",
    )
