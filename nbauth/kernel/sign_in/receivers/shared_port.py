"""One port of this process, and the sign-ins that wait there.

A port that the system chooses belongs to one sign-in. A fixed one can be opened only once, and
several sign-ins may need it: for other scopes, for another account, or the next one while the last
is ending. They share one server, and ``state`` says to which of them an answer belongs.
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
    """One who waits at a port: ``loopback.Receiver``."""

    async def respond(self, request: LoopbackRequest) -> LoopbackReply | None:
        """The reply to what belongs to this one, ``None`` to all else."""


class _Ports:
    """The fixed ports that this process has open. A forked child has none of them."""

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
    """A server on a port, open from the first that enters until the last has left.

    Attributes:
        server: what listens.
    """

    def __init__(self, host: str, port: int) -> None:
        self._waiting: dict[Waiting, None] = {}
        self._closing = False
        self.server = LoopbackServer(self._respond, port=port, host=host, name="nbauth-receiver")

    @classmethod
    def enter(cls, one: Waiting, host: str, port: int) -> SharedPort:
        """The server for one more at a port, 0 for one of the system's choice.

        ``host`` as :class:`LoopbackServer` has it. Raises its errors.
        """
        if not port:
            shared = cls(host, 0)
            shared._waiting[one] = None
            return shared
        ports = _of_this_process()
        with ports.lock:
            there = ports.open.get(port)
            if there is not None and there._closing:  # an interrupt has cut the last one's leaving
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

        It is closed under the lock, so that the next sign-in finds it free. Browsers that have
        connected by then still get their answer. Any thread may call it, repeatedly.
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
