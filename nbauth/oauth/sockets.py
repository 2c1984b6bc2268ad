"""Requests that can be aborted by another thread or by a time limit."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from nbauth.oauth.json_body import LIMIT, TooLarge
from nbauth.oauth.network import TrustingAdapter

IDLE = 2.0
"""Seconds after which an idle connection is not reused."""
MOST_BYTES = LIMIT + 200_000
"""Maximum bytes of one response, including headers and chunk sizes."""


class BrokenOff(requests.ConnectionError):
    """Another thread aborted the request."""


class Late(requests.Timeout):
    """The request exceeded its time limit."""


class AbortableAdapter(TrustingAdapter):
    """Tracks the requests in flight, and can abort them at any stage."""

    def __init__(self, verify: bool | str | None = None) -> None:
        self._requests: set[_Request] = set()
        super().__init__(verify, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        _watch(manager)
        return manager

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Abort the calling thread's request, including its redirects, after this time.

        Raises ``Late``; after :meth:`abort`, ``BrokenOff``.
        """
        request, before = _Request(), _present()
        late = Late(f"no complete response in {seconds:.0f} s")
        timer = threading.Timer(seconds, request.end, (late,))
        timer.daemon = True
        self._requests.add(request)
        _of_thread.request = request
        try:
            with contextlib.suppress(RuntimeError):  # no thread can start: reads still time out
                timer.start()
            yield
        except Exception as error:
            if request.over:
                raise request.over from error
            raise
        finally:
            timer.cancel()
            _of_thread.request = before
            self._requests.discard(request)
            request.let_go()
        if request.over and request.is_cut:
            raise request.over

    def abort(self) -> None:
        """Abort all requests in flight."""
        for request in self._requests.copy():
            request.end(BrokenOff("aborted"))


class _Request:
    """A request in flight, and its current connection.

    A blocked read ends only when its socket is shut down. TLS wraps the socket and detaches its
    descriptor, once per layer, so this class keeps a duplicate of the descriptor.
    """

    def __init__(self) -> None:
        self.over: requests.RequestException | None = None
        self.is_cut = False
        """Whether the socket was shut down, so that the response may be incomplete."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._twin: socket.socket | None = None

    def end(self, why: requests.RequestException) -> None:
        if self._process != os.getpid():  # forked: the connection belongs to the parent
            return
        with self._lock:
            self.over = self.over or why
            self._shut()

    def hold(self, connection: HTTPConnection, sock: Any) -> None:
        """Set the request's connection; shut it down if the request has already been aborted."""
        twin = socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        self.let_go()
        with self._lock:
            self._connection, self._twin = connection, twin
            if self.over:
                self._shut()

    def let_go(self, connection: HTTPConnection | None = None) -> None:
        """Release the request's connection, if ``connection`` is ``None`` or that one."""
        with self._lock:
            if self._twin is not None and connection in (None, self._connection):
                self._twin.close()
                self._connection = self._twin = None

    def _shut(self) -> None:
        if self._twin is not None:
            self.is_cut = True
            with contextlib.suppress(OSError):  # already closed
                self._twin.shutdown(socket.SHUT_RDWR)


_of_thread = threading.local()


def _present() -> _Request | None:
    """The calling thread's request."""
    return getattr(_of_thread, "request", None)


class _Options(list[Any]):
    """Socket options that stop an aborted request: urllib3 reads them before each connect."""

    def __iter__(self) -> Iterator[Any]:
        request = _present()
        if request is not None and request.over:
            raise ConnectionAbortedError("the request was aborted")
        return super().__iter__()


class _Counted(io.RawIOBase):
    """A socket's stream that raises ``TooLarge`` after ``MOST_BYTES``."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream, self._left = stream, MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._stream.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise TooLarge
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """A response that also limits its head: a server may send "100 Continue" endlessly."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_Counted(self.fp.detach()))


class _Connection(HTTPConnection):
    """Passes its socket to the calling thread's :class:`_Request`."""

    response_class = _Answer

    given_back = math.inf
    """When it was returned to its pool, by ``time.monotonic``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.socket_options = _Options(self.socket_options or ())

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._tell(sock)
        return sock

    def putrequest(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # connected, possibly by an earlier request
            self._tell(self.sock)
        super().putrequest(*args, **options)

    def _tell(self, sock: Any) -> None:
        request = _present()
        if request is not None:
            request.hold(self, sock)


class _Pool(HTTPConnectionPool):
    """Releases a connection from its request before another request can use it."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        # A server may close an idle connection at the moment it is reused.
        if time.monotonic() - connection.given_back > IDLE:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        request = _present()
        if connection is not None:
            connection.given_back = time.monotonic()
            if request is not None:
                request.let_go(connection)
        super()._put_conn(connection)


def _watch(manager: Any) -> None:
    """Make a manager, also that of a SOCKS proxy, use our pool and connection classes."""
    pools = manager.pool_classes_by_scheme.items()
    manager.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in pools}


def _watched(pool: Any) -> Any:
    if issubclass(pool, _Pool):
        return pool
    connection = type("Connection", (_Connection, pool.ConnectionCls), {})
    return type("Pool", (_Pool, pool), {"ConnectionCls": connection})
