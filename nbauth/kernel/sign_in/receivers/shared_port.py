"""A port of this process that several sign-ins share.

A port that the system chooses belongs to one sign-in. A fixed port can be opened only once, but
several sign-ins may need it: for other scopes, for another account, or the next one while the last
is ending. They share one server, and ``state`` tells which sign-in a response belongs to.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Protocol

from nbauth.core.pages import PAGE_HEADERS, page
from nbauth.kernel.sign_in.receivers.http_server import (
    LoopbackReply,
    LoopbackRequest,
    LoopbackServer,
)
from nbauth.kernel.sign_in.receivers.sockets import IPV4, IPV6


class Waiting(Protocol):
    """A sign-in that waits at a port: ``loopback.Receiver``."""

    async def respond(self, request: LoopbackRequest) -> LoopbackReply | None:
        """The reply to a request of this sign-in; ``None`` for any other request."""


class _Ports:
    """The fixed ports that this process has open. A forked child starts with none."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.open: dict[int, SharedPort] = {}


_ports = _Ports()


def _of_this_process() -> _Ports:
    global _ports
    if _ports.process != os.getpid():
        _ports = _Ports()
    return _ports


class SharedPort:
    """A server on a port, open until the last sign-in has left.

    Attributes:
        server: listens on the port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._waiting: dict[Waiting, None] = {}
        self._closing = False
        self.server = LoopbackServer(self._respond, port=port, host=host, name="nbauth-receiver")

    @classmethod
    def enter(cls, one: Waiting, host: str, port: int) -> SharedPort:
        """Return the server at a port for one more sign-in; port 0 lets the system choose.

        ``host`` is as in :class:`LoopbackServer`. Raises its errors.
        """
        if not port:
            shared = cls(host, 0)
            shared._waiting[one] = None
            return shared
        ports = _of_this_process()
        with ports.lock:
            there = ports.open.get(port)
            if there is not None and there._closing:  # an interrupt broke off leave()
                there.server.release()
                there = None
            if there is None:
                there = ports.open[port] = cls(host, port)
            elif host in (IPV4, IPV6) and host not in there.server.addresses:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            there._waiting[one] = None
        return there

    def leave(self, one: Waiting) -> None:
        """Leave the port. The last sign-in to leave closes it, then ends the thread.

        It is closed under the lock, so that the next sign-in finds it free. Connected browsers
        still get their reply. Any thread may call it, repeatedly.
        """
        ports = _of_this_process()
        with ports.lock:
            if self._waiting.keys() == {one}:
                self._closing = True
                self.server.release()
                if ports.open.get(self.server.port) is self:
                    del ports.open[self.server.port]
            else:
                self._waiting.pop(one, None)
        if self._closing:
            self.server.close()

    async def _respond(self, request: LoopbackRequest) -> LoopbackReply:
        reply = None
        for one in list(self._waiting):
            reply = await one.respond(request) or reply
            if reply is not None and reply.status == 200:
                return reply
        nothing = page("Not found", "There is nothing here.")
        return reply or LoopbackReply(404, PAGE_HEADERS, nothing)
