"""A fake kernel with one thread, real streams of pyzmq and a real session of jupyter_client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import zmq
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from tests.jupyter.ipykernel.forged import Frames, genuine

OURS = "ours"
PROBE = b"the last one"


class FakeKernel:
    """The part of ipykernel 6, or of 7.3 (``with_subshells``), that a wait uses.

    Attributes:
        queued: the frames that its own callback received.
        handled: the data of the messages that were handled at once.
        said: the status messages that it published.
        sent: the number of messages from the front end.
    """

    def __init__(self, *, with_subshells: bool = False) -> None:
        self.session = Session(key=b"the key")
        self.front_end = Session(key=b"the key")
        self.log = logging.getLogger("tests.fake_kernel")
        self.sent = 0
        self.queued: list[list[Any]] = []
        self.handled: list[Any] = []
        self.said: list[tuple[str, Any]] = []
        self.shell_handlers: dict[str, Any] = {"comm_msg": self.comm_msg}
        self.handle: Callable[[Any], None] = lambda data: None
        self.when_queued: Callable[[], None] = lambda: None
        self._context = zmq.Context()
        self._sender = self._context.socket(zmq.PAIR)
        receiver = self._context.socket(zmq.PAIR)
        self._sender.bind("inproc://shell")
        receiver.connect("inproc://shell")
        self.io_loop = self.loop = IOLoop(make_current=False)
        self.stream = ZMQStream(receiver, self.loop)
        self.stream.on_recv(self.queue, copy=False)
        self.shell_stream: Any = self.stream
        if with_subshells:
            self._add_subshells()

    def _add_subshells(self) -> None:
        self.shell_socket = SimpleNamespace(send_multipart=lambda frames: None)
        self.shell_stream = SimpleNamespace(
            socket=self.shell_socket, send_multipart=lambda frames: None
        )
        manager = SimpleNamespace(
            get_shell_channel_to_subshell_pair=lambda _id: SimpleNamespace(to_stream=self.stream),
            get_subshell_to_shell_channel_socket=lambda _id: self.shell_socket,
            _shell_socket=self.shell_socket,
        )
        self.shell_channel_thread = SimpleNamespace(
            manager=manager, _manager=manager, _shell_socket=self.shell_socket
        )

    def __enter__(self) -> FakeKernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close(0)
        self._sender.close(0)
        self._context.term()
        self.loop.close()

    def queue(self, frames: list[Any]) -> None:
        self.queued.append(frames)
        self.when_queued()

    def comm_msg(self, stream: Any, idents: Any, message: Any) -> None:
        self.handled.append(message["content"]["data"])
        self.handle(message["content"]["data"])

    def _publish_status(self, state: str, channel: str, parent: Any = None) -> None:
        self.said.append((state, parent and parent["msg_id"]))

    def send(self, *messages: Frames) -> None:
        """Send a message as the front end does."""
        for frames in messages:
            self.sent += 1
            self._sender.send_multipart(frames)

    def send_ours(self, **data: Any) -> None:
        self.send(genuine(self.front_end, OURS, **data))

    def send_other(self) -> None:
        self.send(genuine(self.front_end, "theirs"))

    def is_as_before(self) -> bool:
        """Whether callback and shell socket are the kernel's own."""
        thread = getattr(self, "shell_channel_thread", None)
        sockets = [thread, thread.manager] if thread is not None else []
        return self.stream._recv_callback == self.queue and all(
            holder._shell_socket is self.shell_socket for holder in sockets
        )

    def lost(self) -> int:
        """The number of lost messages, after the event loop has read the last one.

        Raises if the stream does not read any more.
        """
        self.when_queued = lambda: self.loop.stop() if self.queued[-1][-1].bytes == PROBE else None
        late = self.loop.call_later(2, self.loop.stop)
        self.send([*genuine(self.front_end, "theirs"), PROBE])
        self.loop.start()
        self.loop.remove_timeout(late)
        assert self.queued, "the stream does not read any more"
        assert self.queued[-1][-1].bytes == PROBE, "the stream does not read any more"
        return self.sent - len(self.queued) - len(self.handled)
