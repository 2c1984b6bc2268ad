"""ipykernel 7.0 to 7.3 may stop reading its shell channel; mended for as long as nbauth needs it.

They send replies on the shell socket itself, past the stream that reads it. ZeroMQ tells of a new
message once (``ZMQ_FD`` is edge-triggered), a send takes that notice away, and a request that came
just then lies unread with all that follow: cells stay at ``[*]``, buttons are dead, "Loading
widget..." stays, until the kernel is restarted. It happens when a page is opened or reloaded, as
many requests come at once then. ipykernel 7.4 sends through the stream (ipykernel #1529), and so do
the others while they are mended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AFFECTED = ("7.0.", "7.1.", "7.2.", "7.3.")
"""How the versions of ipykernel begin that may stop."""


class Mending:
    """Lets replies go through the stream from :meth:`begin` to :meth:`end`, in such a kernel.

    Several may overlap, in different threads too; the last one to end puts the socket back. There
    is no lock that an interrupt could leave locked: each writes what it wants first, and looks
    again at what the others want after it has changed something.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._replies: _RepliesByStream | None = None

    def begin(self) -> None:
        """Do nothing in a kernel that needs no mending or has other names."""
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
            self._replies.users.discard(self)  # another thread was faster with its own

    def end(self) -> None:
        """Take that back. A second call does no harm, and does what the first did not."""
        if self._replies is not None:
            self._replies.users.discard(self)
            if not self._replies.users:
                self._replies.put(self._replies.socket, instead_of=self._replies)
            if self._replies.users:  # another thread has begun just now
                self._replies.put(self._replies, instead_of=self._replies.socket)


class _RepliesByStream:
    """In place of the shell socket, of which ipykernel uses nothing but ``send_multipart``."""

    def __init__(self, thread: Any, stream: Any, socket: Any) -> None:
        self.socket = socket
        self.users: set[Mending] = set()
        self.send_multipart = stream.send_multipart
        self._thread = thread

    def put(self, new: Any, *, instead_of: Any) -> None:
        """Change who sends. The manager takes it from the thread when the kernel starts."""
        holders: list[Any] = [self._thread, getattr(self._thread, "_manager", None)]
        for holder in holders:
            if getattr(holder, "_shell_socket", None) is instead_of:
                holder._shell_socket = new


def mend(kernel: Any) -> Callable[[], None]:
    """Mend a kernel that needs it; gives what takes that back."""
    mending = Mending(kernel)
    try:
        mending.begin()
    except BaseException:
        mending.end()
        raise
    return mending.end
