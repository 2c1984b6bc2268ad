"""The flows. A flow uses an ``Engine``, never a protocol library.

A package of its own can add one: an entry point of the group ``nbauth.flows`` names a ``Flow``, one
of the group ``nbauth.identities`` an ``Identity``.
"""

from __future__ import annotations

from collections.abc import Collection

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import DEVICE, IDENTITY_GROUP, added
from nbauth.core.steps import ReceiverKind
from nbauth.core.text import plain
from nbauth.oauth.flows import (
    application,
    broker,
    browser,
    by_identity,
    credential,
    device_code,
    integrated_windows,
    managed_identity,
    on_behalf_of,
    password,
    workload_identity,
)
from nbauth.oauth.flows.record import Flow
from nbauth.oauth.identities import Identity

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (
        *browser.FLOWS,
        device_code.FLOW,
        password.FLOW,
        integrated_windows.FLOW,
        broker.FLOW,
        application.FLOW,
        managed_identity.FLOW,
        workload_identity.FLOW,
        *by_identity.FLOWS,
        credential.FLOW,
        on_behalf_of.FLOW,
    )
}


def flow_named(name: str) -> Flow:
    """The flow for a value of ``--flow``. Raises ``FlowUnavailable`` for an unavailable one."""
    if name in FLOWS:
        return FLOWS[name]
    if name in added():
        return _loaded(name)
    raise FlowUnavailable(
        f"The flow {name!r} does not exist.",
        hint="Available: " + ", ".join(f"--flow {known}" for known in FLOWS) + ".",
        suggested_flow=DEVICE,
    )


def offered() -> tuple[str, ...]:
    """The names of the flows that a person can choose in a panel."""
    return tuple(flow.name for flow in FLOWS.values() if flow.offered)


def flows_for(receivers: Collection[ReceiverKind]) -> tuple[str, ...]:
    """The names of the flows that a person can choose where these receivers work."""
    return tuple(
        f.name
        for f in FLOWS.values()
        if f.offered and (f.receiver is None or f.receiver in receivers)
    )


def _loaded(name: str) -> Flow:
    point = added()[name]
    try:
        found = point.load()
        if point.group == IDENTITY_GROUP:
            found = found() if isinstance(found, type) or not hasattr(found, "get") else found
    except Exception as error:
        raise _unusable(name, plain(error) or type(error).__name__) from error
    kind = Identity if point.group == IDENTITY_GROUP else Flow
    if not isinstance(found, kind) or found.name != name:
        raise _unusable(name, f"its entry point is not a {kind.__name__} with the name {name!r}")
    return found if isinstance(found, Flow) else by_identity.flow_of(found)


def _package_of(name: str) -> str:
    dist = added()[name].dist
    return dist.name if dist is not None else "that defines it"


def _unusable(name: str, why: str) -> FlowUnavailable:
    return FlowUnavailable(
        f"The flow {name!r} of an installed package cannot be used: {why.rstrip('.')}.",
        hint=f"Update or remove the package {_package_of(name)}, or choose another flow.",
    )
