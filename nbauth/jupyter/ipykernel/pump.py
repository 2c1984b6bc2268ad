"""Handles the messages of some comms while the main thread is busy with a cell.

While a cell runs, ipykernel does not read its shell channel. So a click in a widget waits for the
cell, and the cell waits for the click. The pump reads that channel while a cell waits. It handles
signed messages for the comms of that cell at once. It also answers the requests that a reloaded
page sends before it can show these comms. All other messages go unchanged to the kernel's own
callback, which queues them in order.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from nbauth.jupyter.ipykernel.channels import Channels, publish_status
from nbauth.jupyter.ipykernel.messages import Message
from nbauth.jupyter.ipykernel.reply_fix import ReplyFix
from nbauth.jupyter.ipykernel.requests import CellRequest
from nbauth.jupyter.ipykernel.stop_button import StopButton

TURN = 0.05
"""Seconds that one call of ``Pump.turn`` waits for a message."""
AT_ONCE = 100
"""The most messages that one ``Pump.turn`` reads, so that many messages cannot block a wait."""
POLLIN, POLLOUT = 1, 2
QUESTIONS = frozenset({"kernel_info_request", "comm_info_request"})
"""The requests that a front end sends first. They change nothing in the kernel."""
CONTROL_TARGET = "jupyter.widget.control"
"""The comm with which it then requests the state of all widgets (protocol of ipywidgets)."""


class Pump:
    """Reads the shell channel from :meth:`begin` to :meth:`end`.

    Args:
        kernel: the running ipykernel.
        comm_ids: returns the ids of the comms whose messages are handled.
        button: the stop button, if the wait blocks the main thread.
        queued: is called with each request to run a cell. The request then goes to the kernel.
    """

    def __init__(
        self,
        kernel: Any,
        comm_ids: Callable[[], Collection[str]],
        button: StopButton | None = None,
        queued: Callable[[CellRequest], None] = lambda _: None,
    ) -> None:
        self.comm_ids = comm_ids
        self.button = button
        self.queued = queued
        self._kernel = kernel
        self._reply_fix = ReplyFix(kernel)
        self._filter: _Filter | None = None

    def begin(self) -> None:
        """Replace the callback of the kernel's stream."""
        self._reply_fix.begin()
        if threading.current_thread() is not threading.main_thread():
            return  # a cell in a subshell does not block the main shell
        channels = Channels.of(self._kernel)
        if channels is not None:
            self._filter = _Filter.of(self._kernel, channels)
            self._filter.enter(self)

    def end(self) -> None:
        """Undo all changes in the kernel. May be called twice.

        A second call completes a first call that was interrupted at any line.
        """
        try:
            if self._filter is not None:
                self._filter.leave(self)
        finally:
            self._reply_fix.end()

    def turn(self) -> None:
        """Handle the messages that have arrived, or wait ``TURN`` seconds for one."""
        if self._filter is None or not self._filter.turn():
            time.sleep(TURN)


class _Filter:
    """Replaces the callback of the kernel's stream while there is at least one pump."""

    def __init__(self, kernel: Any, channels: Channels) -> None:
        self._kernel = kernel
        self._stream = channels.requests
        self._replies = channels.replies
        self._original = self._stream._recv_callback
        self._copy = getattr(self._stream, "_recv_copy", False)
        self._pumps: list[Pump] = []
        self._controls: set[str] = set()

    @classmethod
    def of(cls, kernel: Any, channels: Channels) -> _Filter:
        """The present filter, or a new one. Asynchronous waits may overlap and end in any order."""
        present = getattr(channels.requests._recv_callback, "__self__", None)
        return present if isinstance(present, cls) else cls(kernel, channels)

    def enter(self, pump: Pump) -> None:
        self._pumps.append(pump)
        if self._stream._recv_callback != self.received:
            self._stream.on_recv(self.received, copy=False)

    def leave(self, pump: Pump) -> None:
        if pump in self._pumps:
            self._pumps.remove(pump)
        if self._pumps or self._stream._recv_callback != self.received:
            return
        try:
            self._stream.on_recv(self._original, copy=self._copy)
            # The descriptor signals a message once; one that has just arrived would stay unread.
            self._stream.flush(POLLIN, AT_ONCE)
        except Exception:
            self._log_unreadable()

    def turn(self) -> bool:
        """Read the stream. Returns ``False`` if that failed, as when the kernel ends."""
        try:
            if self._stream.closed():
                return False
            if self._stream.socket.poll(int(TURN * 1000)):
                self._stream.flush(POLLIN, AT_ONCE)
        except Exception:
            self._log_unreadable()
            return False
        return True

    def received(self, frames: list[Any]) -> Any:
        """The callback of the stream, called with each message."""
        try:
            taken = self._take(frames)
        except Exception:
            self._kernel.log.error("nbauth: a message could not be examined", exc_info=True)
            taken = None
        return self._original(frames) if taken is None else self._handle(*taken)

    def _take(self, frames: list[Any]) -> tuple[Any, list[bytes], dict[str, Any]] | None:
        """The handler, the sender and the parsed message; ``None`` for the kernel's messages."""
        session = self._kernel.session
        message = Message.read(session, frames) if self._pumps else None
        if message is None:
            return None
        if message.cell is not None:
            for pump in list(self._pumps):
                pump.queued(message.cell)
        handler = self._kernel.shell_handlers.get(message.kind)
        if handler is None or not self._is_ours(message):
            return None
        taken = message.take(session)
        return (handler, *taken) if taken is not None else None

    def _is_ours(self, message: Message) -> bool:
        if message.kind in QUESTIONS:
            return True
        if message.kind == "comm_open" and message.target == CONTROL_TARGET:
            self._controls.add(message.comm_id)
        if message.comm_id in self._controls:
            return True
        known = message.kind == "comm_msg" and message.comm_id
        return bool(known) and any(known in pump.comm_ids() for pump in list(self._pumps))

    def _handle(self, handler: Any, idents: list[bytes], parsed: dict[str, Any]) -> None:
        # The front end sends a widget's next message only after the status "idle" of this one.
        self._say("busy", parsed)
        try:
            self._run(handler, idents, parsed)
        finally:
            self._say("idle", parsed)
            self._say("busy", None)

    def _run(self, handler: Any, idents: list[bytes], parsed: dict[str, Any]) -> None:
        button = self._pumps[-1].button
        # A handler may call the user's own code, which may hang.
        interruptible = button.interrupts(2) if button else contextlib.nullcontext()
        try:
            with interruptible:
                _finish(handler(self._replies, idents, parsed))
        except Exception:
            self._kernel.log.error(
                "nbauth: the handler of a message failed during a wait", exc_info=True
            )
        self._stream.flush(POLLOUT)  # in ipykernel 6 the reply waits for the event loop

    def _say(self, state: str, parent: Any) -> None:
        try:
            publish_status(self._kernel, state, parent)
        except Exception:
            self._kernel.log.debug("nbauth: the status %s was not published", state, exc_info=True)

    def _log_unreadable(self) -> None:
        self._kernel.log.debug("nbauth: the shell channel can't be read", exc_info=True)


def _finish(result: Any) -> None:
    """Run a handler that is a coroutine to its end. The handlers called here await nothing."""
    if inspect.iscoroutine(result):
        try:
            result.send(None)
        except StopIteration:
            return
        result.close()
        raise RuntimeError("the handler awaits something")
