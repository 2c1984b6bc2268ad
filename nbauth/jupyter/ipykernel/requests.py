"""Requests to run a cell: the one that runs, those behind it, and outputs under any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CellRequest:
    """An ``execute_request``.

    Attributes:
        msg_id: its own.
        cell_id: of the cell, as JupyterLab and Notebook say it; ``""`` where nobody does.
        header: what outputs name it by.
    """

    msg_id: str
    cell_id: str = ""
    header: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, header: Any, metadata: Any) -> CellRequest | None:
        """The request of these two parts of a message; ``None`` if they are not what they are."""
        try:
            msg_id, cell_id = header["msg_id"], metadata.get("cellId") or ""
        except (AttributeError, KeyError, TypeError):
            return None
        sound = isinstance(msg_id, str) and isinstance(cell_id, str) and msg_id
        return cls(msg_id, cell_id, header) if sound else None


def running_request(kernel: Any) -> CellRequest | None:
    """The request that the kernel works on, as the calling thread sees it."""
    try:
        parent = kernel.get_parent("shell")
        return CellRequest.read(parent["header"], parent.get("metadata") or {})
    except (AttributeError, LookupError, TypeError):
        return None


def display_under(
    request: CellRequest,
    publisher: Any,
    bundle: tuple[Mapping[str, Any], Mapping[str, Any]],
    display_id: str,
) -> bool:
    """Display under a cell that need not be the running one; whether that could be done.

    The publisher is the shell's ``display_pub``, whose parent is not promised by ipykernel.
    """
    try:
        before = publisher.parent_header
        publisher.set_parent({"header": dict(request.header)})
    except AttributeError:
        return False
    try:
        publisher.publish(*bundle, transient={"display_id": display_id})
    finally:
        publisher.set_parent({"header": before})
    return True
