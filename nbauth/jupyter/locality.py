"""Do the browser and this kernel run on one machine? A number only this machine can tell.

A listener on 127.0.0.1 holds one secret text at a secret path, hands it out once, to a page of a
loopback origin, and closes. A browser that can read it is on this machine, or on one that shares
its loopback ports, which comes to the same: a sign-in's redirect will arrive.
"""

from __future__ import annotations

import secrets
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_LIFE = 30.0
"""Seconds after which the port closes even if nobody closes it."""
PATIENCE = 2.0
"""Seconds a connection has to deliver its request."""
TURN = 0.05


class LocalityProbe:
    """The listener, open from construction until :meth:`close`; also a context manager.

    Args:
        life: seconds after which it closes by itself.

    Attributes:
        url: where the browser has to look.
        text: what it finds there, once. Not part of ``url``, so that only reading it tells it.

    Raises ``OSError`` where this process may not listen.
    """

    def __init__(self, life: float = LONGEST_LIFE) -> None:
        self.text = secrets.token_urlsafe(24)
        self.path = f"/{secrets.token_urlsafe(24)}"
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{self.path}"
        self._ends_at = time.monotonic() + min(life, LONGEST_LIFE)
        self._closing = threading.Event()
        self._untold = threading.Semaphore()
        self._thread = threading.Thread(target=self._serve, name="nbauth-locality", daemon=True)
        self._thread.start()

    def __enter__(self) -> LocalityProbe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give port and thread back."""
        self._closing.set()
        self._thread.join(1)

    def tell(self) -> str | None:
        """The text, the first time."""
        return self.text if self._untold.acquire(blocking=False) else None

    def _serve(self) -> None:
        with self._server:
            while not self._closing.is_set() and time.monotonic() < self._ends_at:
                self._server.handle_request()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    timeout = TURN

    def __init__(self, probe: LocalityProbe) -> None:
        self.probe = probe
        super().__init__(("127.0.0.1", 0), _Request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks off is no news, and nothing to print under somebody's cell."""


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version = "nbauth"
    sys_version = ""

    def do_OPTIONS(self) -> None:
        """The question that a browser asks first where private addresses are guarded."""
        self._answer(204 if self._from_this_machine() else 404)

    def do_GET(self) -> None:
        text = self.server.probe.tell() if self._from_this_machine() else None
        self._answer(404 if text is None else 200, text or "")

    def _from_this_machine(self) -> bool:
        """Whether a page of a loopback origin asks for our path, under a loopback name of ours."""
        return (
            secrets.compare_digest(self.path.encode(), self.server.probe.path.encode())
            and _host(f"//{self.headers.get('Host', '')}") in LOOPBACK_NAMES
            and _host(self.headers.get("Origin", "")) in LOOPBACK_NAMES
        )

    def _answer(self, status: int, text: str = "") -> None:
        self.send_response_only(status)
        if status != 404:
            self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
            self.send_header("Vary", "Origin")
            self.send_header("Access-Control-Allow-Methods", "GET")
            self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """The address is a secret."""


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
