"""ipykernel 7.0 to 7.3 may stop reading its shell channel; mended for as long as nbauth needs it.

They send replies on the shell socket itself, behind the back of the stream that reads it. ZeroMQ
tells of a new message once (``ZMQ_FD`` is edge-triggered), a send takes that word away, and a
request that came just then lies unread with all that follow: cells stay at ``[*]``, buttons are
dead, "Loading widget..." stays, until the kernel is restarted. Opening or reloading a page is the
moment for it, as many requests come at once. ipykernel 7.4 sends through the stream (ipykernel
#1529), and so do the others while they are mended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AFFECTED = ("7.0.", "7.1.", "7.2.", "7.3.")
"""How the versions of ipykernel begin that may stop."""


def mend(kernel: Any) -> Callable[[], None]:
    """Let replies go through the stream, in a kernel that needs it; gives what takes that back."""
    thread: Any = getattr(kernel, "shell_channel_thread", None)
    socket = getattr(thread, "_shell_socket", None)
    stream = getattr(kernel, "shell_stream", None)
    if socket is None or getattr(stream, "socket", None) is not socket:
        return lambda: None

    def reply_by(what: Any) -> None:  # ``send_multipart``, which both have, is all that is used
        thread._shell_socket = what  # from which the manager takes it, when the kernel starts
        if getattr(thread, "_manager", None) is not None:
            thread._manager._shell_socket = what

    reply_by(stream)
    return lambda: reply_by(socket)
