"""ipykernel 7.0 to 7.3 may stop reading its shell channel. This module prevents that.

These versions send replies on the shell socket, not on the stream that reads the socket. ZeroMQ
signals a new message once (``ZMQ_FD`` is edge-triggered), and a send removes that signal. Then a
request that arrived at that moment stays unread, with all later ones: cells stay at ``[*]``,
buttons do nothing, and "Loading widget..." stays, until the kernel is restarted. It happens when a
page is opened or reloaded, because many requests arrive at once. ipykernel 7.4 sends on the stream
(ipykernel #1529). With this fix, the other versions do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AFFECTED = ("7.0.", "7.1.", "7.2.", "7.3.")
"""The first characters of the affected versions of ipykernel."""


class ReplyFix:
    """Sends replies on the stream from :meth:`begin` to :meth:`end`, in an affected kernel.

    Several may overlap, also in different threads. The last one to end restores the socket. There
    is no lock, because an interrupt could leave it locked. Instead, each one first records its own
    need, and checks the needs of the others again after each change.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._replies: _RepliesByStream | None = None

    def begin(self) -> None:
        """Has no effect in a kernel that is not affected or that lacks the private names."""
        thread: Any = getattr(self._kernel, "shell_channel_thread", None)
        stream = getattr(self._kernel, "shell_stream", None)
        while True:
            present = getattr(thread, "_shell_socket", None)
            if isinstance(present, _RepliesByStream):
                self._replies = present
            elif present is not None and getattr(stream, "socket", None) is present:
                self._replies = _RepliesByStream(thread, stream, present)
            else:
                return
            self._replies.users.add(self)
            self._replies.put(self._replies, instead_of=self._replies.socket)
            if thread._shell_socket is self._replies:
                return
            self._replies.users.discard(self)  # another thread has installed its own first

    def end(self) -> None:
        """Undo the change. May be called twice: the second call completes an interrupted one."""
        if self._replies is not None:
            self._replies.users.discard(self)
            if not self._replies.users:
                self._replies.put(self._replies.socket, instead_of=self._replies)
            if self._replies.users:  # another thread has begun just now
                self._replies.put(self._replies, instead_of=self._replies.socket)


class _RepliesByStream:
    """Replaces the shell socket. ipykernel uses only its ``send_multipart``."""

    def __init__(self, thread: Any, stream: Any, socket: Any) -> None:
        self.socket = socket
        self.users: set[ReplyFix] = set()
        self.send_multipart = stream.send_multipart
        self._thread = thread

    def put(self, new: Any, *, instead_of: Any) -> None:
        """Replace the sender, in the thread and in the manager, which copies it at kernel start."""
        holders: list[Any] = [self._thread, getattr(self._thread, "_manager", None)]
        for holder in holders:
            if getattr(holder, "_shell_socket", None) is instead_of:
                holder._shell_socket = new


def fix_replies(kernel: Any) -> Callable[[], None]:
    """Apply the fix to a kernel if it is affected. Returns the function that undoes it."""
    fix = ReplyFix(kernel)
    try:
        fix.begin()
    except BaseException:
        fix.end()
        raise
    return fix.end
