"""One file a flow, one line here each. A flow talks to an ``Engine``, never to a library."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from nbauth.core.errors import FlowUnavailable
from nbauth.core.steps import Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines import AuthorizationRequest, Engine
from nbauth.oauth.flows import browser, device_code

Flow = Callable[[Engine, AuthorizationRequest], Generator[Step, Any, TokenResponse]]

FLOWS: dict[str, Flow] = {
    "browser": browser.flow,
    "callback": partial(browser.flow, place="callback"),
    "paste": partial(browser.flow, place="paste"),
    "device": device_code.flow,
}


def flow_named(name: str) -> Flow:
    """The flow for a ``--flow`` word. Raises ``FlowUnavailable`` for one that is not here."""
    if name not in FLOWS:
        raise FlowUnavailable(
            f"The flow {name!r} is not available in this version.",
            hint="Available are: " + ", ".join(f"--flow {known}" for known in FLOWS) + ".",
            suggested_flow="device",
        )
    return FLOWS[name]
