"""A TLS proxy for a provider that serves http on loopback; it records the requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.harness.certificates import Certificates

OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "te"}

WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Asked:
    """One POST with a form, and the JSON object in its response, if any."""

    path: str
    form: Mapping[str, str]
    status: int
    answer: Mapping[str, Any]


class Front:
    """Forwards ``https://127.0.0.1:<port>`` to ``http://127.0.0.1:<behind>``.

    Headers are forwarded unchanged, including ``Host``; ``X-Forwarded-Proto`` is added.
    """

    def __init__(self, port: int, behind: int, certificates: Certificates) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.asked: list[Asked] = []
        self._behind = ("127.0.0.1", behind)
        front = self

        class Handler(_Handler):
            address = front._behind
            seen = front.asked

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.cert_file, certificates.key_file)
        self._server = _Server(("127.0.0.1", port), Handler, context)

    def answers(self) -> bool:
        """Whether the server behind it runs and has metadata (OpenID Connect Discovery §4)."""
        behind = http.client.HTTPConnection(*self._behind, timeout=10)
        try:
            told = {"Host": self.url.removeprefix("https://"), "X-Forwarded-Proto": "https"}
            behind.request("GET", WELL_KNOWN, headers=told)
            return behind.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            behind.close()

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # browsers keep unused connections

    def __init__(
        self, address: tuple[str, int], handler: type[_Handler], context: ssl.SSLContext
    ) -> None:
        self._context = context
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the connection's thread, so a hanging handshake blocks no other connection."""
        request.settimeout(60)
        with (
            contextlib.suppress(OSError),  # an unused connection
            self._context.wrap_socket(request, server_side=True) as secure,
        ):
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnects."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    address: tuple[str, int]
    seen: list[Asked]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        behind = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if _passes(name)}
            headers["X-Forwarded-Proto"] = "https"
            behind.request(self.command, self.path, body or None, headers)
            answer = behind.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.send_error(502)
            return
        finally:
            behind.close()
        if self.command == "POST":
            self._note(body, answer.status, content)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if _passes(name):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def _note(self, body: bytes, status: int, content: bytes) -> None:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = {}
        form = dict(parse_qsl(body.decode(errors="replace")))
        told = answer if isinstance(answer, dict) else {}
        self.seen.append(Asked(self.path.partition("?")[0], form, status, told))

    def log_message(self, format: str, *args: object) -> None:
        pass


def _passes(name: str) -> bool:
    return name.lower() not in OF_ONE_CONNECTION
