"""The names of the flows that this version has, for whoever has to name one in a hint.

What a flow is and does, its record says: ``nbauth.oauth.flows``.
"""

from __future__ import annotations

AUTO = "auto"
"""No flow, but the choice of one by what works where the person is."""
BROWSER = "browser"
CALLBACK = "callback"
DEVICE = "device"
PASTE = "paste"
HERE = (BROWSER, CALLBACK, PASTE, DEVICE)
LATER = (
    "password", "iwa", "broker", "app", "managed-identity", "workload-identity", "azure-cli",
    "obo", "hub",
)  # fmt: skip
"""Flows that the documentation names and this version does not have: using one says so."""
ALL = (AUTO, *HERE, *LATER)
