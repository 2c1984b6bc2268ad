"""Requests to run a cell: the running one, queued ones, and output that belongs to one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CellRequest:
    """An ``execute_request``.

    Attributes:
        msg_id: its message id.
        cell_id: the cell's id that JupyterLab and Notebook send; ``""`` from other front ends.
        header: its header, which is the parent header of its outputs.
    """

    msg_id: str
    cell_id: str = ""
    header: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, header: Any, metadata: Any) -> CellRequest | None:
        """The request with these two parts; ``None`` if their form is wrong."""
        try:
            msg_id, cell_id = header["msg_id"], metadata.get("cellId") or ""
        except (AttributeError, KeyError, TypeError):
            return None
        sound = isinstance(msg_id, str) and isinstance(cell_id, str) and msg_id
        return cls(msg_id, cell_id, header) if sound else None


def running_request(kernel: Any) -> CellRequest | None:
    """The request that the kernel handles in the calling thread."""
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
    """Display in the output of any cell, also of one that is not running.

    Returns whether that was possible. The publisher is the shell's ``display_pub``; the methods for
    its parent header are private in ipykernel.
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
