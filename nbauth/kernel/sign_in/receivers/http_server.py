"""A small HTTP server on the loopback interface that receives a browser's request.

RFC 8252 §7.3 and §8.3: 127.0.0.1 and ::1 only, on a port chosen by the system unless one is set.
One request for each connection, limited in bytes and seconds. It does not use asyncio's server,
which on closing drops connections that it has accepted: they get no reply and stay open until
garbage collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial

import h11

from nbauth.core.interrupts import Flag, join
from nbauth.kernel.sign_in.receivers.sockets import listen

LARGEST = 64 * 1024
"""Bytes of one request; even a response with a long code needs only a tenth."""
PATIENCE = 5.0
"""Seconds that a connection has to send its request."""
MOST = 256
"""Connections that have not sent a request yet; beyond this, the oldest is closed."""
LAST_MOMENT = 0.1
"""Seconds for connected clients to send a request when the server closes."""
LAST_WORDS = 0.5
"""Seconds for a reply to reach its browser when the server closes."""
DEFAULT_PORTS = frozenset({80, 443})
"""Ports that a browser leaves out of ``Host`` (RFC 9110 §4.2)."""
SERVER = "nbauth"
"""The ``Server`` header of each reply; it tells another kernel that nbauth uses the port."""
_OUR_NAMES = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(:.*)?", re.I | re.A)


@dataclass(frozen=True)
class LoopbackRequest:
    """A browser's request to a loopback name; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class LoopbackReply:
    """A complete reply; Content-Length and Connection are added."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class LoopbackServer:
    """Open from construction until :meth:`close`.

    Args:
        respond: returns the reply to a request; may take long. Called in the server's thread.
        port: 0 lets the system choose.
        host: ``127.0.0.1`` or ``::1`` if that address is required; the other is opened if possible.
            Otherwise both are opened, as far as the machine has them.
        life: seconds after which it closes by itself.
        name: of its thread.

    Attributes:
        addresses: the addresses it listens on.

    Raises ``OSError`` if this process may not listen, the port is taken, or the machine has no such
    address.
    """

    def __init__(
        self,
        respond: Callable[[LoopbackRequest], Awaitable[LoopbackReply]],
        *,
        port: int = 0,
        host: str = "localhost",
        life: float | None = None,
        name: str,
    ) -> None:
        self._respond = respond
        self._life = life
        self._listeners = listen(port, host)
        self.port: int = self._listeners[0].getsockname()[1]
        self.addresses = [listener.getsockname()[0] for listener in self._listeners]
        self._free = Flag()
        self._conversations: set[asyncio.Task[None]] = set()
        self._reading: dict[asyncio.Task[None], None] = {}
        self._closing = asyncio.Event()
        self._loop = asyncio.SelectorEventLoop()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:
            self.forked()
            self._loop.close()
            raise OSError(errno.EAGAIN, "no thread can be started") from error

    def forked(self) -> None:
        """Close this process's listening sockets without replying."""
        for listener in self._listeners:
            listener.close()

    def release(self) -> None:
        """Free the port, which takes a moment; connected clients still get a reply."""
        with contextlib.suppress(RuntimeError):  # the server and its loop have ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._free.wait(2 * LAST_WORDS)

    def close(self) -> None:
        """Free the port and end the thread. Connected clients get a reply or are cut off first."""
        self.release()
        join(self.thread, 2 * LAST_WORDS)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self.forked()  # already closed, unless serving failed
            self._free.set()
            self._loop.close()

    async def _serve(self) -> None:
        for listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._life):
                await self._closing.wait()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            self._accept(listener)
            listener.close()
        self._free.set()
        await self._end(self._reading, LAST_MOMENT)
        await self._end(self._conversations, LAST_WORDS)

    async def _end(self, conversations: Collection[asyncio.Task[None]], patience: float) -> None:
        """Wait for these conversations for a limited time, then cancel them."""
        if conversations:
            await asyncio.wait(list(conversations), timeout=patience)
        left = list(conversations)
        for conversation in left:
            conversation.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Accept all connections. The end of a conversation always closes its connection.

        A callback does this, because a task that is cancelled before it starts runs no code.
        """
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # no more connections
                return
            connection.setblocking(False)
            if len(self._reading) >= MOST:
                oldest = next(iter(self._reading))
                self._reading.pop(oldest)
                oldest.cancel()
            conversation = self._loop.create_task(self._converse(connection))
            self._conversations.add(conversation)
            self._reading[conversation] = None
            conversation.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: socket.socket, conversation: asyncio.Task[None]) -> None:
        connection.close()
        self._reading.pop(conversation, None)
        self._conversations.discard(conversation)

    async def _converse(self, connection: socket.socket) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST)
        with contextlib.suppress(OSError, h11.ProtocolError, ValueError):
            async with asyncio.timeout(PATIENCE):
                request = await self._read(protocol, connection)
            self._reading.pop(conversation, None)
            if is_ours(request.headers.get("host", ""), self.port):
                reply = await self._respond(request)
            else:  # another name that resolves to this machine (DNS rebinding)
                reply = LoopbackReply(404, [])
            await self._loop.sock_sendall(connection, _encoded(protocol, request, reply))

    async def _read(self, protocol: h11.Connection, connection: socket.socket) -> LoopbackRequest:
        head: h11.Request | None = None
        body = b""
        left = LARGEST
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA and left:
                data = await self._loop.sock_recv(connection, left)
                left -= len(data)
                protocol.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in head.headers}
                target = head.target.decode("ascii", "replace")
                return LoopbackRequest(head.method.decode("ascii"), target, headers, body)
            else:
                raise ValueError("too large, or disconnected")


def _encoded(protocol: h11.Connection, request: LoopbackRequest, reply: LoopbackReply) -> bytes:
    headers = [*reply.headers, ("Server", SERVER), ("Connection", "close")]
    if reply.status != 204:
        headers.append(("Content-Length", str(len(reply.body))))
    events: list[h11.Event] = [h11.Response(status_code=reply.status, headers=headers)]
    if reply.body and request.method != "HEAD":
        events.append(h11.Data(data=reply.body))
    return b"".join(protocol.send(event) or b"" for event in (*events, h11.EndOfMessage()))


def is_ours(host: str, port: int) -> bool:
    """Whether a ``Host`` header names the loopback interface. Other names may resolve to it by
    accident or in an attack (DNS rebinding). The port may be missing if it is the default."""
    named = _OUR_NAMES.fullmatch(host)
    return named is not None and (named[1] is not None or port in DEFAULT_PORTS)
