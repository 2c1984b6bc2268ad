"""The names of the flows. Each flow itself is described by its record in ``nbauth.oauth.flows``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

AUTO = "auto"
"""Not a flow: choose the one that works in this environment."""
BROWSER = "browser"
CALLBACK = "callback"
DEVICE = "device"
IWA = "iwa"
PASTE = "paste"
BROKER = "broker"
PASSWORD = "password"
APP = "app"
MANAGED_IDENTITY = "managed-identity"
WORKLOAD_IDENTITY = "workload-identity"
HERE = (
    BROWSER,
    CALLBACK,
    PASTE,
    DEVICE,
    PASSWORD,
    IWA,
    BROKER,
    APP,
    MANAGED_IDENTITY,
    WORKLOAD_IDENTITY,
)
LATER = ("azure-cli", "obo", "hub")
"""Flows that are documented but not in this version: using one raises an error that says so."""
ALL = (AUTO, *HERE, *LATER)
GROUP = "nbauth.flows"
"""The entry point group of flows in other packages: the name, and a ``Flow`` of this name."""


@cache
def added() -> dict[str, EntryPoint]:
    """The flows of other packages, by name. Reads the metadata of the installed packages once."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP) if point.name not in ALL}


def names() -> tuple[str, ...]:
    """All values of ``--flow`` that work in this version, also those of other packages."""
    return (AUTO, *HERE, *added())
