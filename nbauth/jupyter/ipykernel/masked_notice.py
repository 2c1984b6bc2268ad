"""One line under a cell whose output was masked, once for each run of the cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbauth.jupyter.guard import NOTICE

NOT_OUTPUT = frozenset({"execute_input", "execute_reply"})
"""Messages that are not output of the cell."""
MOST = 256


class MaskedNotice:
    """Sends the line: at the end of the cell, or at once if the cell has ended.

    Args:
        kernel: the running ipykernel.
        send: sends a message.
    """

    def __init__(self, kernel: Any, send: Callable[..., Any]) -> None:
        self._kernel = kernel
        self._send = send
        self._running: dict[str, None] = {}
        self._to_tell: dict[str, dict[str, Any]] = {}
        self._told: dict[str, None] = {}

    def begin(self, request: str) -> None:
        """A request is handled from now on."""
        self._running[request] = None

    def end(self, request: str) -> None:
        """A request has been handled."""
        self._running.pop(request, None)
        header = self._to_tell.pop(request, None)
        if header is not None:
            self._tell(header)

    def masked(self, kind: str, header: dict[str, Any]) -> None:
        """A message of this kind was masked; the header is that of the request."""
        request = header.get("msg_id", "")
        if (
            header.get("msg_type") != "execute_request"
            or kind in NOT_OUTPUT
            or request in self._told
        ):
            return
        self._told[request] = None
        for oldest in list(self._told)[:-MOST]:
            self._told.pop(oldest, None)
        if request in self._running:
            self._to_tell[request] = header
        else:
            self._tell(header)

    def _tell(self, header: dict[str, Any]) -> None:
        self._send(
            self._kernel.iopub_socket,
            "stream",
            {"name": "stderr", "text": NOTICE},
            header,
            b"stream.stderr",
        )
