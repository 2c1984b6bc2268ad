"""Handles the messages of some comms while the main thread is busy with a cell.

While a cell runs, ipykernel reads nothing from its shell channel, so a click in a widget waits for
the cell and the cell for the click. The pump reads that channel for as long as a cell waits.
Genuine messages for the comms of that cell are handled at once, and so is what a page that is
loaded again has to ask before it can show them. Everything else goes to the kernel's own callback
as it came; that one only queues, in order.
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
from nbauth.jupyter.ipykernel.requests import CellRequest
from nbauth.jupyter.ipykernel.stop_button import StopButton
from nbauth.jupyter.ipykernel.wedge import Mending

TURN = 0.05
"""Seconds that one turn of the pump waits for a message."""
AT_ONCE = 100
"""Messages that one turn reads at most, so that a flood of them can't keep a wait from ending."""
POLLIN, POLLOUT = 1, 2
QUESTIONS = frozenset({"kernel_info_request", "comm_info_request"})
"""What a front end asks first; the answers change nothing."""
CONTROL_TARGET = "jupyter.widget.control"
"""The comm by which it then asks for all widgets' state (ipywidgets' messaging protocol)."""


class Pump:
    """Works from :meth:`begin` to :meth:`end`.

    Args:
        kernel: the running ipykernel.
        comm_ids: gives the ids of the comms to be handled now.
        button: of a wait that blocks the main thread.
        queued: is told of each request to run a cell, which goes to the kernel all the same.
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
        self._mending = Mending(kernel)
        self._filter: _Filter | None = None

    def begin(self) -> None:
        """Change what the pump needs changed in the kernel."""
        self._mending.begin()
        if threading.current_thread() is not threading.main_thread():
            return  # a cell in a subshell leaves the main shell alone
        channels = Channels.of(self._kernel)
        if channels is not None:
            self._filter = _Filter.of(self._kernel, channels)
            self._filter.enter(self)

    def end(self) -> None:
        """Leave the kernel as it was. A second call does no harm, and does what the first did not.

        So whoever calls it twice has it done even if the first call was interrupted at any place.
        """
        try:
            if self._filter is not None:
                self._filter.leave(self)
        finally:
            self._mending.end()

    def turn(self) -> None:
        """Handle what has come, or wait a moment for it."""
        if self._filter is None or not self._filter.turn():
            time.sleep(TURN)


class _Filter:
    """Stands in for the callback of the kernel's stream while at least one pump is there."""

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
        """The one that is there, or a new one. Waits that are awaited end in any order."""
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
            # The descriptor tells of a message once; one that came just now would be forgotten.
            self._stream.flush(POLLIN, AT_ONCE)
        except Exception:
            self._log_unreadable()

    def turn(self) -> bool:
        """Whether the stream could be read. It can't be when the kernel ends."""
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
        """What the stream calls with each message."""
        try:
            taken = self._take(frames)
        except Exception:
            self._kernel.log.error("nbauth: whose a message is was not found out", exc_info=True)
            taken = None
        return self._original(frames) if taken is None else self._handle(*taken)

    def _take(self, frames: list[Any]) -> tuple[Any, list[bytes], dict[str, Any]] | None:
        """Who handles the message, who sent it, and all of it; ``None``: it is the kernel's."""
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
        # The front end holds a widget's next message back until this one is said to be done.
        self._say("busy", parsed)
        try:
            self._run(handler, idents, parsed)
        finally:
            self._say("idle", parsed)
            self._say("busy", None)

    def _run(self, handler: Any, idents: list[bytes], parsed: dict[str, Any]) -> None:
        button = self._pumps[-1].button
        # What a handler calls may be the person's own code, and hang.
        interruptible = button.interrupts(2) if button else contextlib.nullcontext()
        try:
            with interruptible:
                _finish(handler(self._replies, idents, parsed))
        except Exception:
            self._kernel.log.error(
                "nbauth: a message failed that came during a wait", exc_info=True
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
    """Take a handler that is a coroutine to its end; the ones called here wait for nothing."""
    if inspect.iscoroutine(result):
        try:
            result.send(None)
        except StopIteration:
            return
        result.close()
        raise RuntimeError("the handler waits for something")
