"""The flows of this version. A flow uses an ``Engine``, never a protocol library."""

from __future__ import annotations

from collections.abc import Collection

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import DEVICE
from nbauth.core.steps import ReceiverKind
from nbauth.oauth.flows import browser, device_code
from nbauth.oauth.flows.record import Flow

FLOWS: dict[str, Flow] = {flow.name: flow for flow in (*browser.FLOWS, device_code.FLOW)}


def flow_named(name: str) -> Flow:
    """The flow for a value of ``--flow``. Raises ``FlowUnavailable`` for an unavailable one."""
    if name not in FLOWS:
        raise FlowUnavailable(
            f"The flow {name!r} is not available in this version.",
            hint="Available: " + ", ".join(f"--flow {known}" for known in FLOWS) + ".",
            suggested_flow=DEVICE,
        )
    return FLOWS[name]


def flows_for(receivers: Collection[ReceiverKind]) -> tuple[str, ...]:
    """The names of the flows that work with these receivers or without one."""
    return tuple(f.name for f in FLOWS.values() if f.receiver is None or f.receiver in receivers)
