"""Where the browser comes back to: a loopback listener for one authorization response.

RFC 8252 §7.3: open only while the sign-in is pending. It takes the response as a query (GET) or a
form (POST, OAuth 2.0 Form Post Response Mode), refuses all else without looking further, and says
nothing final until the code has been redeemed.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import os
from concurrent.futures import Future
from urllib.parse import parse_qsl, urlsplit

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.flow_names import DEVICE
from nbauth.core.pages import PAGE_HEADERS, page
from nbauth.kernel.sign_in.receivers.http_server import (
    LoopbackReply,
    LoopbackRequest,
    LoopbackServer,
)

FORM = "application/x-www-form-urlencoded"


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
        state: as given.
        answer: a future of the genuine response's parameters.

    Raises ``ConfigurationError`` for an address that is none of loopback's or a port that is
    taken, ``FlowUnavailable`` where this process may not listen at all.
    """

    def __init__(
        self, state: str, *, redirect_uri: str | None = None, default_host: str = "localhost"
    ) -> None:
        host, port, self._path = _parts(redirect_uri or f"http://{default_host}")
        self.state = state
        self.answer: Future[dict[str, str]] = Future()
        self._outcome: Future[tuple[str, str]] = Future()
        try:
            self._server = LoopbackServer(self._respond, port=port, name="nbauth-receiver")
        except OSError as error:
            raise _cannot_listen(port, error) from error
        self.port = self._server.port
        self.redirect_uri = f"http://{host}:{self.port}{self._path}"

    def finish(self, title: str, text: str) -> None:
        """Show the waiting browser how it ended, and close: port and thread are gone after it."""
        if not self._outcome.done():
            self._outcome.set_result((title, text))
        self._server.close()

    def forked(self) -> None:
        """In a forked child: close its copies of the listening sockets. They would keep the port
        taken after the parent has given it back, and answer nobody."""
        self._server.forked()

    async def _respond(self, request: LoopbackRequest) -> LoopbackReply:
        answer = self._genuine(request)
        if answer is None:
            return LoopbackReply(404, PAGE_HEADERS, page("Not found", "There is nothing here."))
        if not self.answer.done():
            self.answer.set_result(answer)
        title, text = await asyncio.shield(asyncio.wrap_future(self._outcome))
        return LoopbackReply(200, PAGE_HEADERS, page(title, text))

    def _genuine(self, request: LoopbackRequest) -> dict[str, str] | None:
        """The parameters of the response we wait for, or ``None`` for all else."""
        try:
            target = urlsplit(request.target)
        except ValueError:
            return None
        if target.path != (self._path or "/"):
            return None
        if request.method == "GET":
            encoded = target.query
        elif request.method == "POST" and request.headers.get("content-type", "").startswith(FORM):
            encoded = request.body.decode("utf-8", "replace")
        else:
            return None
        pairs = parse_qsl(encoded, keep_blank_values=True)
        answer = dict(pairs)
        if len(answer) != len(pairs):
            return None  # a parameter twice (RFC 6749 §3.1)
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            return None
        return answer if answer.keys() & {"code", "error"} else None


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


def _cannot_listen(port: int, error: OSError) -> ConfigurationError | FlowUnavailable:
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}:
        return FlowUnavailable(
            f"This kernel cannot listen for the browser: {os.strerror(error.errno)}.",
            code="cannot_listen",
            hint=f"Close files or restart the kernel, or sign in by device code: --flow {DEVICE}.",
            suggested_flow=DEVICE,
        )
    if port and error.errno == errno.EACCES:
        return ConfigurationError(
            f"This kernel may not listen on port {port}.",
            code="cannot_listen",
            hint="Choose a port above 1023 in redirect_uri, or leave it out.",
        )
    if port:
        return ConfigurationError(
            f"Port {port} on this machine is taken by another program.",
            code="port_taken",
            hint="Leave the port out of redirect_uri, or stop the other program.",
        )
    return FlowUnavailable(
        "This kernel may not open a port on its own machine.",
        code="cannot_listen",
        hint=f"Sign in by device code: %login --flow {DEVICE}.",
    )
