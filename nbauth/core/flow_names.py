"""The names of the flows. Each flow itself is described by its record in ``nbauth.oauth.flows``."""

from __future__ import annotations

AUTO = "auto"
"""Not a flow: choose the one that works in this environment."""
BROWSER = "browser"
CALLBACK = "callback"
DEVICE = "device"
PASTE = "paste"
HERE = (BROWSER, CALLBACK, PASTE, DEVICE)
LATER = (
    "password", "iwa", "broker", "app", "managed-identity", "workload-identity", "azure-cli",
    "obo", "hub",
)  # fmt: skip
"""Flows that are documented but not in this version: using one raises an error that says so."""
ALL = (AUTO, *HERE, *LATER)
