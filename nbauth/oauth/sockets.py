"""Requests that can be broken off: by another thread, or when they have taken too long."""

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
"""Seconds after which a connection is not used again."""
MOST_BYTES = LIMIT + 200_000
"""What a server may send for one answer, with the head and the lengths of chunks."""


class BrokenOff(requests.ConnectionError):
    """Another thread has broken the request off."""


class Late(requests.Timeout):
    """The request has taken too long."""


class AbortableAdapter(TrustingAdapter):
    """Knows the requests in flight, and ends them at whatever stage they are."""

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
        """Break the calling thread's request off when it has taken so long; redirects are part
        of it.

        Raises ``Late``; after :meth:`abort`, ``BrokenOff``.
        """
        request, before = _Request(), _present()
        late = Late(f"no whole answer in {seconds:.0f} s")
        timer = threading.Timer(seconds, request.end, (late,))
        timer.daemon = True
        self._requests.add(request)
        _of_thread.request = request
        try:
            with contextlib.suppress(RuntimeError):  # no thread is left: each read has its time-out
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
        """Break off all requests in flight."""
        for request in self._requests.copy():
            request.end(BrokenOff("broken off"))


class _Request:
    """A request in flight, and the connection that it has at present.

    A blocked read ends only when its socket is shut down. TLS takes a socket's descriptor over,
    once more for each layer, so what is kept is a twin of the descriptor.
    """

    def __init__(self) -> None:
        self.over: requests.RequestException | None = None
        self.is_cut = False
        """What has come may not be the whole answer."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._twin: socket.socket | None = None

    def end(self, why: requests.RequestException) -> None:
        if self._process != os.getpid():  # forked: the connection is the parent's
            return
        with self._lock:
            self.over = self.over or why
            self._shut()

    def hold(self, connection: HTTPConnection, sock: Any) -> None:
        """The request now uses this connection; if it has been ended, the connection is shut."""
        twin = socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        self.let_go()
        with self._lock:
            self._connection, self._twin = connection, twin
            if self.over:
                self._shut()

    def let_go(self, connection: HTTPConnection | None = None) -> None:
        """Its connection, or this one if it has it, is another request's from now on."""
        with self._lock:
            if self._twin is not None and connection in (None, self._connection):
                self._twin.close()
                self._connection = self._twin = None

    def _shut(self) -> None:
        if self._twin is not None:
            self.is_cut = True
            with contextlib.suppress(OSError):  # it may have ended by itself
                self._twin.shutdown(socket.SHUT_RDWR)


_of_thread = threading.local()


def _present() -> _Request | None:
    """The calling thread's request."""
    return getattr(_of_thread, "request", None)


class _Options(list[Any]):
    """Socket options. urllib3 reads them before each of a host's addresses that it tries."""

    def __iter__(self) -> Iterator[Any]:
        request = _present()
        if request is not None and request.over:
            raise ConnectionAbortedError("the request is over")
        return super().__iter__()


class _Counted(io.RawIOBase):
    """A socket's stream, which ends with ``TooLarge`` after so many bytes."""

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
    """An answer whose head has a limit too: it may begin with "100 Continue" for ever."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_Counted(self.fp.detach()))


class _Connection(HTTPConnection):
    """Tells the calling thread's :class:`_Request` which socket it uses."""

    response_class = _Answer

    given_back = math.inf
    """When it was put into its pool, by ``time.monotonic``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.socket_options = _Options(self.socket_options or ())

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._tell(sock)
        return sock

    def putrequest(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # connected, by an earlier request perhaps
            self._tell(self.sock)
        super().putrequest(*args, **options)

    def _tell(self, sock: Any) -> None:
        request = _present()
        if request is not None:
            request.hold(self, sock)


class _Pool(HTTPConnectionPool):
    """Takes a connection from its request before another request may get it."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        # A server may close an idle connection at the very moment at which it is used again.
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
    """Let a manager's pools, also those of a SOCKS proxy, be of our kind."""
    pools = manager.pool_classes_by_scheme.items()
    manager.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in pools}


def _watched(pool: Any) -> Any:
    if issubclass(pool, _Pool):
        return pool
    connection = type("Connection", (_Connection, pool.ConnectionCls), {})
    return type("Pool", (_Pool, pool), {"ConnectionCls": connection})
