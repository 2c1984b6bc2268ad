"""Where the browser comes back to: a loopback listener for one authorization response.

RFC 8252 §7.3 and §8.3: 127.0.0.1 and ::1 only, a port of the system's choosing, open only while
the sign-in is pending. It takes the response as a query (GET) or a form (POST, OAuth 2.0 Form
Post Response Mode), refuses all else without looking further, and says nothing final until the
code has been redeemed.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import socket
import sys
import threading
from concurrent.futures import Future
from urllib.parse import parse_qsl, urlsplit

import h11

from nbauth.core.errors import ConfigurationError
from nbauth.oauth.pages import PAGE_HEADERS, page

LARGEST = 64 * 1024
"""Bytes of one request; a response with a long code and session state is a tenth of it."""
PATIENCE = 5.0
"""Seconds a connection has to deliver its request."""
LAST_WORDS = 0.5
"""Seconds that a finished page has to reach the browser before the port closes."""


class Receiver:
    """A listener, open from construction until :meth:`finish`.

    Args:
        state: what the genuine response carries.
        redirect_uri: host, port and path to use, where the registration demands them
            (``http://127.0.0.1:8400/callback``); a missing port is chosen by the system.
        default_host: for ``redirect_uri`` when none is given: ``localhost`` is what Microsoft's
            registrations know, ``127.0.0.1`` is what RFC 8252 advises elsewhere.

    Attributes:
        redirect_uri: the address to give to the provider.
        answer: a future of the genuine response's parameters.
    """

    def __init__(
        self, state: str, *, redirect_uri: str | None = None, default_host: str = "localhost"
    ) -> None:
        host, port, self._path = _parts(redirect_uri or f"http://{default_host}")
        self._state = state.encode()
        self._sockets = _listen(port)
        self.port: int = self._sockets[0].getsockname()[1]
        self.redirect_uri = f"http://{host}:{self.port}{self._path}"
        self.answer: Future[dict[str, str]] = Future()
        self._outcome: asyncio.Future[tuple[str, str]]
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="nbauth-receiver", daemon=True
        )
        self._thread.start()
        started.wait()

    def finish(self, title: str, text: str) -> None:
        """Show the waiting browser how it ended, and close: port and thread are gone after it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end, (title, text))
            self._thread.join(LAST_WORDS + 0.5)

    def _end(self, outcome: tuple[str, str]) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(started))
        finally:
            self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._outcome = self._loop.create_future()
        self._waiting: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._converse(reader, writer)
            except (OSError, asyncio.CancelledError, h11.ProtocolError):
                pass
            finally:
                writer.close()

        servers = [
            await asyncio.start_server(connected, sock=sock, limit=LARGEST)
            for sock in self._sockets
        ]
        started.set()
        await self._outcome
        # asyncio cries over a connection that is accepted at this very moment, and dropped.
        self._loop.set_exception_handler(lambda *_: None)
        for server in servers:
            server.close()
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=LAST_WORDS)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST)
        try:
            async with asyncio.timeout(PATIENCE):
                request, body = await _read_request(connection, reader)
        except (TimeoutError, h11.RemoteProtocolError, ValueError):
            return
        answer = self._genuine(request, body)
        if answer is None:
            await _send(connection, writer, 404, page("Not found", "There is nothing here."))
            return
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        if not self.answer.done():
            self.answer.set_result(answer)
        title, text = await asyncio.shield(self._outcome)
        await _send(connection, writer, 200, page(title, text))
        self._waiting.discard(task)

    def _genuine(self, request: h11.Request, body: bytes) -> dict[str, str] | None:
        """The parameters of the response we wait for, or ``None`` for all else."""
        try:
            target = urlsplit(request.target.decode("ascii", "replace"))
        except ValueError:
            return None
        headers = {name.lower(): value for name, value in request.headers}
        if headers.get(b"host", b"").rpartition(b":")[0] not in {
            b"localhost",
            b"127.0.0.1",
            b"[::1]",
        }:
            return None  # a foreign name that resolves to this machine (DNS rebinding)
        if target.path != (self._path or "/"):
            return None
        if request.method == b"GET":
            encoded = target.query
        elif request.method == b"POST" and headers.get(b"content-type", b"").startswith(
            b"application/x-www-form-urlencoded"
        ):
            encoded = body.decode("utf-8", "replace")
        else:
            return None
        pairs = parse_qsl(encoded, keep_blank_values=True)
        answer = dict(pairs)
        if len(answer) != len(pairs):
            return None  # a parameter twice (RFC 6749 §3.1)
        if not hmac.compare_digest(answer.get("state", "").encode(), self._state):
            return None
        return answer if answer.keys() & {"code", "error"} else None


async def _read_request(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> tuple[h11.Request, bytes]:
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(LARGEST)
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > LARGEST:
                raise ValueError("too large")
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, body
        else:
            raise ValueError("gone")


async def _send(
    connection: h11.Connection, writer: asyncio.StreamWriter, status: int, body: bytes
) -> None:
    headers = [*PAGE_HEADERS, ("Content-Length", str(len(body))), ("Connection", "close")]
    for event in (
        h11.Response(status_code=status, headers=headers),
        h11.Data(data=body),
        h11.EndOfMessage(),
    ):
        writer.write(connection.send(event) or b"")
    await writer.drain()


def _parts(redirect_uri: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(redirect_uri)
        port = parts.port or 0
    except ValueError:
        parts, port = urlsplit(""), 0
    host = parts.hostname or ""
    extra = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "http" or host not in {"localhost", "127.0.0.1", "::1"} or extra:
        raise ConfigurationError(
            f"{redirect_uri} is not a loopback address to come back to.",
            code="bad_redirect_uri",
            hint="Write http://localhost, or http://127.0.0.1:PORT/path as it is registered.",
        )
    return f"[{host}]" if ":" in host else host, port, parts.path


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
            taken = error
    raise ConfigurationError(
        f"Port {port} on this machine is taken by another program.",
        code="port_taken",
        hint="Leave the port out of redirect_uri, or stop the other program.",
    ) from taken


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
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
