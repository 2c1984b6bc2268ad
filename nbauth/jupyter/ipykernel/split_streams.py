"""Keeps back the end of a stream's message if a secret may begin with it.

ipykernel sends the text of a stream when it was flushed, or after a fifth of a second. So a secret
may be split over two messages. The text that is kept back belongs to the thread of ipykernel that
sends the streams, and only that thread changes it; an interrupt of the cell cannot lose it. That
thread sends messages in the order in which they were scheduled. The text is sent before any other
message of the same request, so the order of the outputs stays.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from nbauth.jupyter.guard import Guard
from nbauth.jupyter.split_output import Beginnings, SplitOutput

log = logging.getLogger(__name__)
AFTER_THE_CELL = 0.5
"""Seconds for which text is kept back if its cell is not running, as that of a thread."""


class Stream:
    """A stream of one request, with its topic."""

    def __init__(self, header: dict[str, Any], ident: Any) -> None:
        self.header = header
        self.ident = ident
        self.split = SplitOutput()


class SplitStreams:
    """The streams of which the end of the last message may be the beginning of a secret.

    Args:
        kernel: the running ipykernel. Without its thread for output, nothing is kept back.
        guard: knows the secrets.
        send: sends a message.
    """

    def __init__(self, kernel: Any, guard: Guard, send: Callable[..., Any]) -> None:
        thread = getattr(kernel, "iopub_thread", None)
        names = ("thread", "io_loop", "schedule", "_really_send")
        self._io = thread if all(hasattr(thread, name) for name in names) else None
        self._guard = guard
        self._send = send
        self._in_child = InChild()
        self._pid = os.getpid()
        self._streams: dict[tuple[str, str], Stream] = {}
        self._running: dict[str, None] = {}

    def begin(self, request: str) -> None:
        """A request is handled from now on."""
        self._running[request] = None

    def end(self, request: str) -> None:
        """A request has been handled."""
        self._running.pop(request, None)
        self.release(request)

    def take(self, header: dict[str, Any], content: Any, ident: Any) -> tuple[str, bool]:
        """What to send now of a stream's message, and whether a mask was added."""
        text: str = content["text"]
        beginnings, request = self._guard.beginnings, header.get("msg_id", "")
        name = request, content["name"]
        if self._pid != os.getpid():
            return self._in_child.take(name, text, beginnings if self._guard.on else None)
        if any(one[0] == request and one != name for one in list(self._streams)):
            self.release(request, but=name)
        known = self._streams.get(name) if self._here else None
        if known is None and (beginnings is None or not beginnings.at_end_of(text)):
            return text, False
        if not self._here:
            self.release(request)
            return text, False
        if beginnings is None or not self._guard.on:
            self.release(request)
            return text, False
        stream = known or Stream(header, ident)
        taken = stream.split.take(text, beginnings)
        if not stream.split.sent and not stream.split.held:
            self._streams.pop(name, None)
            return taken
        self._streams[name] = stream
        if self._io is not None and request not in self._running:
            self._io.io_loop.call_later(AFTER_THE_CELL, self.release, request)
        return taken

    def release(self, request: str, but: tuple[str, str] = ("", "")) -> None:
        """Send what is kept back of a request, after what was sent and before its next message."""
        if any(name[0] == request for name in list(self._streams)):
            self._in_its_thread(partial(self._release, request, but))

    def release_all(self) -> None:
        """Send everything that is kept back."""
        for request in {name[0] for name in list(self._streams)}:
            self.release(request)

    @property
    def _here(self) -> bool:
        """Whether the calling thread is the one that sends the streams."""
        return self._io is not None and threading.current_thread() is self._io.thread

    def _in_its_thread(self, act: Callable[[], None]) -> None:
        if self._io is not None and os.getpid() == self._pid:  # a forked child has sent nothing
            self._io.schedule(act)

    def _release(self, request: str, but: tuple[str, str]) -> None:
        for name, stream in list(self._streams.items()):
            if name[0] != request or name == but:
                continue
            if request not in self._running:
                self._streams.pop(name, None)
            if text := stream.split.release():
                content = {"name": name[1], "text": text}
                self._send(_AtOnce(self._io), "stream", content, stream.header, stream.ident)


class InChild:
    """The streams of a forked child, which sends each text at once, in any thread.

    Nothing is kept back there: a child may end at any time. So the beginning of a split secret is
    sent, and the rest is masked.
    """

    def __init__(self) -> None:
        self._streams: dict[object, SplitOutput] = {}

    def take(
        self, name: tuple[str, str], text: str, beginnings: Beginnings | None
    ) -> tuple[str, bool]:
        """See ``SplitStreams.take``."""
        key = *name, os.getpid(), threading.get_ident()  # threads and children share no stream
        split = self._streams.pop(key, None)
        if beginnings is None or (split is None and not beginnings.at_end_of(text)):
            return text, False
        split = split or SplitOutput()
        taken, masked = split.take(text, beginnings)
        taken += split.release()
        if split.sent:
            self._streams[key] = split
        return taken, masked


class _AtOnce:
    """Sends a message in the calling thread; ipykernel's own sockets would queue it."""

    def __init__(self, io_thread: Any) -> None:
        self.send_multipart = io_thread._really_send
