"""A small HTTP server on this machine's loopback, for the moment in which a browser comes by.

RFC 8252 §7.3 and §8.3: 127.0.0.1 and ::1 only, a port of the system's choosing unless one is
named. One request a connection, bounded in bytes and seconds. The listening sockets and each
connection are its own and not asyncio's server's, which drops a connection that it has accepted
while it closes: unanswered, and open until the garbage is collected.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial

import h11

LARGEST = 64 * 1024
"""Bytes of one request; a response with a long code and session state is a tenth of it."""
PATIENCE = 5.0
"""Seconds a connection has to deliver its request."""
MOST = 256
"""Connections that may be about to deliver one; the oldest makes room for the next."""
LAST_MOMENT = 0.1
"""Seconds that who has connected when the server closes still has to deliver a request."""
LAST_WORDS = 0.5
"""Seconds that a reply has to reach its browser once the server closes."""
OUR_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class LoopbackRequest:
    """What a browser asked for, under a loopback name; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class LoopbackReply:
    """A whole answer; its length and the end of the connection are added."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class LoopbackServer:
    """Open from construction until :meth:`close`.

    Args:
        respond: gives the reply to a request; it may take its time. Called in the server's thread.
        port: 0 lets the system choose.
        life: seconds after which it closes by itself.
        name: of its thread.

    Raises ``OSError`` where this process may not listen or the port is taken.
    """

    def __init__(
        self,
        respond: Callable[[LoopbackRequest], Awaitable[LoopbackReply]],
        *,
        port: int = 0,
        life: float | None = None,
        name: str,
    ) -> None:
        self._respond = respond
        self._life = life
        self._listeners = _listen(port)
        self.port: int = self._listeners[0].getsockname()[1]
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
        """Close this process's listening sockets, and answer nobody."""
        for listener in self._listeners:
            listener.close()

    def close(self) -> None:
        """Give port and thread back. Who has connected by now is answered, or cut off, first."""
        with contextlib.suppress(RuntimeError):  # its life is over, and so is its loop
            self._loop.call_soon_threadsafe(self._closing.set)
        self.thread.join(2 * LAST_WORDS)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
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
        await self._end(self._reading, LAST_MOMENT)
        await self._end(self._conversations, LAST_WORDS)

    async def _end(self, conversations: Collection[asyncio.Task[None]], patience: float) -> None:
        """Wait for them, but not for long."""
        if conversations:
            await asyncio.wait(list(conversations), timeout=patience)
        left = list(conversations)
        for conversation in left:
            conversation.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Take all who have connected. A conversation's end closes its connection, come what may.

        Even if it is cancelled before it has begun; so it is not left to the conversation.
        """
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # nobody else
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
            if request.headers.get("host", "").rpartition(":")[0] in OUR_NAMES:
                reply = await self._respond(request)
            else:  # a foreign name that resolves to this machine (DNS rebinding)
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
                raise ValueError("too large, or gone")


def _encoded(protocol: h11.Connection, request: LoopbackRequest, reply: LoopbackReply) -> bytes:
    headers = [*reply.headers, ("Connection", "close")]
    if reply.status != 204:
        headers.append(("Content-Length", str(len(reply.body))))
    events: list[h11.Event] = [h11.Response(status_code=reply.status, headers=headers)]
    if reply.body and request.method != "HEAD":
        events.append(h11.Data(data=reply.body))
    return b"".join(protocol.send(event) or b"" for event in (*events, h11.EndOfMessage()))


def _listen(port: int) -> list[socket.socket]:
    """One port on 127.0.0.1 and, where the machine has it, on ::1."""
    for _ in range(1 if port else 20):  # a port that is free on one address only is not taken
        opened: list[socket.socket] = []
        try:
            opened.append(_bound(socket.AF_INET, "127.0.0.1", port))
            opened.append(_bound(socket.AF_INET6, "::1", opened[0].getsockname()[1]))
            return opened
        except OSError as error:
            if opened and error.errno != errno.EADDRINUSE:
                return opened  # no IPv6 here
            for sock in opened:
                sock.close()
            failure = error
    raise failure


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # the port of the last sign-in lingers for a minute (TIME_WAIT)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
