"""A cell that waits while its panel stays alive.

While a cell runs, ipykernel reads nothing from its shell channel, so a click in a widget waits for
the cell and the cell for the click. The pump reads that channel for as long as we wait: messages
for our own panels are handled at once, and so is what a page that is loaded again has to ask before
it can show them; all others go to the kernel's own callback, which only queues them, in order. It
leans on names that ipykernel does not promise; where they are missing, the wait still ends when the
sign-in does, and Cancel is the stop button.

That button sends SIGINT. Python raises ``KeyboardInterrupt`` wherever the main thread happens to
be, and a message is then lost half read; inside a destructor, such as that of a ZMQ frame, the
exception itself is dropped. So a press is noted, and passed on between two turns.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
import time
from collections.abc import Callable, Collection
from types import FrameType, TracebackType
from typing import Any

from nbauth.jupyter.ipykernel.wedge import mend

TURN = 0.05
"""Seconds that one turn of the pump waits for a message."""
POLLIN, POLLOUT = 1, 2
GREETINGS = frozenset({"kernel_info_request", "comm_info_request"})
"""What a front end asks first; the answers change nothing."""
CONTROL_TARGET = "jupyter.widget.control"
"""The comm by which it then asks for all widgets' state (ipywidgets' messaging protocol)."""


def shell_stream(kernel: Any) -> Any | None:
    """The ZMQ stream from which the main thread gets its shell messages, or ``None``.

    ipykernel 7 passes them on from a thread of its own, ipykernel 6 reads the socket itself.
    """
    try:
        thread = getattr(kernel, "shell_channel_thread", None)
        if thread is not None:
            stream = thread.manager.get_shell_channel_to_subshell_pair(None).to_stream
        else:
            stream = kernel.shell_stream
        usable = all(hasattr(stream, name) for name in ("_recv_callback", "on_recv", "flush"))
    except (AttributeError, AssertionError, TypeError):
        return None
    return stream if usable else None


def reply_stream(kernel: Any) -> Any:
    """Where the main thread's replies go."""
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is None:
        return kernel.shell_stream
    return thread.manager.get_subshell_to_shell_channel_socket(None)


class Pump:
    """Handles the messages of some comms while the main thread is busy with a cell.

    Args:
        kernel: the running ipykernel.
        comm_ids: gives the ids of the comms to be handled now.
    """

    def __init__(self, kernel: Any, comm_ids: Callable[[], Collection[str]]) -> None:
        self._kernel = kernel
        self._comm_ids = comm_ids
        self._stream = shell_stream(kernel)
        self._original: Any = None
        self._undo_mending: Callable[[], None] = lambda: None
        self._controls: set[str] = set()

    def __enter__(self) -> Pump:
        self._undo_mending = mend(self._kernel)
        if threading.current_thread() is not threading.main_thread():
            self._stream = None  # a cell in a subshell leaves the main shell alone
        if self._stream is not None:
            self._original = self._stream._recv_callback
            self._stream.on_recv(self._received, copy=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.on_recv(self._original, copy=False)
            # The descriptor tells of a message once; one that came just now would be forgotten.
            self._stream.flush(POLLIN)
        self._undo_mending()

    def turn(self) -> None:
        """Handle what has come, or wait a moment for it."""
        if self._stream is None:
            time.sleep(TURN)
            return
        if self._stream.socket.poll(int(TURN * 1000)):
            self._stream.flush(POLLIN)

    def _received(self, message: list[Any]) -> Any:
        if self._is_ours(message):
            return self._handle(message)
        return self._original(message)

    def _is_ours(self, message: list[Any]) -> bool:
        session = self._kernel.session
        try:
            _, frames = session.feed_identities(message, copy=False)
            kind = session.unpack(frames[1].bytes)["msg_type"]
            if kind in GREETINGS:
                return True
            if kind not in {"comm_open", "comm_msg", "comm_close"}:
                return False
            content = session.unpack(frames[4].bytes)
            comm_id = content["comm_id"]
            if kind == "comm_open" and content["target_name"] == CONTROL_TARGET:
                self._controls.add(comm_id)
            return comm_id in self._controls or (kind == "comm_msg" and comm_id in self._comm_ids())
        except (ValueError, KeyError, IndexError, TypeError):
            return False  # not for us to judge: the kernel says what is wrong with it

    def _handle(self, message: list[Any]) -> None:
        kernel = self._kernel
        idents, frames = kernel.session.feed_identities(message, copy=False)
        parsed = kernel.session.deserialize(frames, content=True, copy=False)
        # The front end holds a widget's next message back until this one is said to be done.
        self._say("busy", parsed)
        try:
            handler = kernel.shell_handlers[parsed["header"]["msg_type"]]
            _finish(handler(reply_stream(kernel), idents, parsed))
        except Exception:
            kernel.log.error("nbauth: a panel's message failed", exc_info=True)
        if self._stream is not None:
            self._stream.flush(POLLOUT)  # in ipykernel 6 the reply waits for the event loop
        self._say("idle", parsed)
        self._say("busy", None)

    def _say(self, state: str, parent: Any) -> None:
        publish = getattr(self._kernel, "_publish_status", None)
        if publish is not None:
            publish(state, "shell", parent=parent)


def _finish(result: Any) -> None:
    """Take a handler that is a coroutine to its end; the ones called here wait for nothing."""
    if inspect.iscoroutine(result):
        try:
            result.send(None)
        except StopIteration:
            return
        result.close()
        raise RuntimeError("the handler waits for something")


class StopButton:
    """Notes SIGINT, for as long as the ``with`` block lasts, so that no press gets lost.

    A second press before the first is passed on takes effect where it finds the main thread.

    Attributes:
        aside: whether the first does so too, because what runs now waits by itself.
    """

    def __init__(self) -> None:
        self.aside = False
        self._before: Any = None
        self._pressed = False

    def __enter__(self) -> StopButton:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if error is None:
            self.pass_on()

    def pass_on(self) -> None:
        """Do what the press was for, if there was one.

        Raises ``KeyboardInterrupt`` in a plain cell. In one that awaits, ipykernel's handler has
        the cell cancelled at its next ``await``; as nothing is awaited here, ``CancelledError``
        ends the wait, which unlike an interrupt may cross any task and the kernel's event loop.
        """
        if self._pressed:
            self._pressed = False
            self._before(signal.SIGINT, None)
            raise asyncio.CancelledError("interrupted")

    def _note(self, number: int, frame: FrameType | None) -> None:
        at_once = self._pressed or self.aside
        self._pressed = True
        if at_once:
            self.pass_on()


def wait(
    kernel: Any,
    ended: threading.Event,
    comm_ids: Callable[[], Collection[str]],
    *,
    timeout: float | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Block the cell until ``ended`` is set or ``timeout`` seconds have passed.

    Raises ``KeyboardInterrupt`` for the stop button, ``asyncio.CancelledError`` in a cell that
    awaits.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with StopButton() as button, Pump(kernel, comm_ids) as pump:
        while not ended.is_set() and (end is None or time.monotonic() < end):
            pump.turn()
            button.pass_on()
            button.aside = True
            meanwhile()
            button.aside = False


async def wait_async(
    kernel: Any,
    ended: threading.Event,
    comm_ids: Callable[[], Collection[str]],
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """The same for a cell that awaits: the event loop turns the pump."""
    with Pump(kernel, comm_ids):
        while not ended.is_set():
            await asyncio.sleep(TURN)
            meanwhile()
