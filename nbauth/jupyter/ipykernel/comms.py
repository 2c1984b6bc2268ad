"""Selects the thread of ipykernel 7.4 that handles a message from the browser."""

from __future__ import annotations

from typing import Any


def answer_in_named_subshell(comm: Any) -> None:
    """Let a comm's messages be handled while the next cell runs too.

    ipykernel 7.4 passes the message of a comm to the shell that last used the comm. A cell may keep
    that shell busy. The subshell that the front end names is free. The method that this function
    replaces is private. If it is missing, the message is handled after the cell.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default
