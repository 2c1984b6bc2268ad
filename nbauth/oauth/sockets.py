"""Requests that can be broken off: by another thread, or when they have taken too long."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

IDLE = 2.0
"""Seconds after which a connection is not used again."""


class AbortableAdapter(HTTPAdapter):
    """Remembers its sockets, since a blocked read ends only when its socket is shut down."""

    def __init__(self) -> None:
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._last_used = 0.0
        self._reads: dict[int, Any] = {}  # by thread: the socket that its answer comes by
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        self._watch(manager)
        return manager

    def _watch(self, manager: Any) -> None:
        adapter = self

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                adapter._opened(self.sock)

            def getresponse(self) -> Any:
                adapter._reads[threading.get_ident()] = self.sock
                return super().getresponse()

        class Secure(HTTPSConnection):
            _twin: socket.socket | None = None

            def _new_conn(self) -> socket.socket:
                # TLS takes the descriptor over; a twin can end a handshake that hangs.
                sock = super()._new_conn()
                self._twin = sock.dup()
                adapter._opened(self._twin)
                return sock

            def connect(self) -> None:
                try:
                    super().connect()
                    adapter._opened(self.sock)
                finally:
                    if self._twin is not None:
                        self._twin.close()

            def getresponse(self) -> Any:
                adapter._reads[threading.get_ident()] = self.sock
                return super().getresponse()

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def send(self, *args: Any, **options: Any) -> requests.Response:
        # A server may close an idle connection at the very moment at which it is used again.
        if time.monotonic() - self._last_used > IDLE:
            self.close()
        try:
            return super().send(*args, **options)
        finally:
            self._last_used = time.monotonic()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Break the calling thread's request off when it has taken so long.

        Raises ``requests.exceptions.Timeout``.
        """
        thread = threading.get_ident()
        over: list[bool] = []

        def end() -> None:
            over.append(True)
            _shut(self._reads.get(thread))

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        try:
            with contextlib.suppress(RuntimeError):  # no thread is left: each read has its time-out
                timer.start()
            yield
        except Exception as error:
            if over:
                raise requests.exceptions.Timeout(f"no whole answer in {seconds:.0f} s") from error
            raise
        finally:
            timer.cancel()
            self._reads.pop(thread, None)
        if over:  # what has come may be cut off
            raise requests.exceptions.Timeout(f"no whole answer in {seconds:.0f} s")

    def _opened(self, sock: Any) -> None:
        with self._lock:
            self._remember(sock)

    def _remember(self, sock: Any) -> None:
        self._sockets = {known for known in self._sockets if known.fileno() != -1}
        self._sockets.add(sock)

    def abort(self) -> None:
        """Break off all requests in flight."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for sock in sockets:
            _shut(sock)


def _shut(sock: Any) -> None:
    with contextlib.suppress(OSError, AttributeError):  # it may have ended by itself
        sock.shutdown(socket.SHUT_RDWR)
