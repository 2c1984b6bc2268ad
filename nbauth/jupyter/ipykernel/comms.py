"""Which thread of ipykernel 7.4 handles a message from the browser."""

from __future__ import annotations

from typing import Any


def answer_in_named_subshell(comm: Any) -> None:
    """Let a comm's messages be handled during the next cell too.

    ipykernel 7.4 gives a comm's message to the shell that used the comm last, which may be the one
    that a cell keeps busy. The subshell that the front end names is free. The name that this
    replaces is private: where it is missing, the message is handled after the cell.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default
