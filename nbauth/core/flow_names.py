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
AZURE_CLI = "azure-cli"
AZURE_DEVELOPER_CLI = "azure-developer-cli"
FABRIC = "fabric"
DATABRICKS = "databricks"
COLAB = "colab"
CREDENTIAL = "credential"
HUB = "hub"
OBO = "obo"
IDENTITIES = (AZURE_CLI, AZURE_DEVELOPER_CLI, FABRIC, DATABRICKS, COLAB, HUB)
"""Flows that use an identity from outside nbauth; see ``nbauth.oauth.identities``."""
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
    *IDENTITIES,
    CREDENTIAL,
    OBO,
)
ALL = (AUTO, *HERE)
GROUP = "nbauth.flows"
"""The entry point group of flows in other packages: the name, and a ``Flow`` of this name."""
IDENTITY_GROUP = "nbauth.identities"
"""The entry point group of identities in other packages: the name, and an ``Identity`` of this name
or a callable that returns it."""


@cache
def added() -> dict[str, EntryPoint]:
    """The flows of other packages, by name. Reads the metadata of the installed packages once."""
    from importlib.metadata import entry_points

    points = (*entry_points(group=IDENTITY_GROUP), *entry_points(group=GROUP))
    return {point.name: point for point in points if point.name not in ALL}


def names() -> tuple[str, ...]:
    """All values of ``--flow``, also those of other packages."""
    return (*ALL, *added())
