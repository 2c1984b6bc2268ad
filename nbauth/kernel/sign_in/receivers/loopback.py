"""Receives one authorization response on a loopback port.

RFC 8252 §7.3: open only while the sign-in is pending. It takes the response as a query (GET) or a
form (POST, OAuth 2.0 Form Post Response Mode), refuses all other requests, and shows the result
only after the code has been redeemed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import http.client
import logging
import os
from concurrent.futures import Future, InvalidStateError
from urllib.parse import parse_qsl, urlsplit

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.flow_names import DEVICE
from nbauth.core.log import word
from nbauth.core.own_pages import address_in
from nbauth.core.pages import PAGE_HEADERS, STRAY_REFUSAL, is_stray_refusal, page, says
from nbauth.kernel.sign_in.receivers.http_server import (
    SERVER,
    LoopbackReply,
    LoopbackRequest,
)
from nbauth.kernel.sign_in.receivers.shared_port import SharedPort
from nbauth.kernel.sign_in.receivers.sockets import ABSENT, IPV4, IPV6
from nbauth.kernel.sign_in.redirect_uri import bad_redirect_uri

FORM = "application/x-www-form-urlencoded"
log = logging.getLogger(__name__)


class Receiver:
    """A listener, open from construction until :meth:`finish`.

    Sign-ins of one process that wait at the same fixed port share it; each takes the response with
    its own ``state``.

    Args:
        state: the ``state`` of the genuine response.
        redirect_uri: host, port and path, if the registration requires them
            (``http://127.0.0.1:8400/callback``); a missing port is chosen by the system.
        default_host: used without ``redirect_uri``: ``localhost`` as Microsoft registers it,
            ``127.0.0.1`` as RFC 8252 recommends elsewhere.

    Attributes:
        redirect_uri: the address to give to the provider.
        state: as given.
        answer: a future of the genuine response's parameters.
        stray: a future of the first error response without ``state``, which anyone can send.

    Raises ``ConfigurationError`` for an address that is not loopback, is in use or does not exist;
    ``FlowUnavailable`` if this process may not listen at all.
    """

    def __init__(
        self, state: str, *, redirect_uri: str | None = None, default_host: str = "localhost"
    ) -> None:
        host, port, self._path = parts_of(redirect_uri or f"http://{default_host}")
        self.state = state
        self.answer: Future[dict[str, str]] = Future()
        self.stray: Future[dict[str, str]] = Future()
        self._outcome: Future[tuple[str, str, str]] = Future()
        try:
            self._shared = SharedPort.enter(self, host.strip("[]"), port)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        self._server = self._shared.server
        self.port = self._server.port
        self.redirect_uri = f"http://{host}:{self.port}{self._path}"

    def free(self, title: str, text: str, own: str = "") -> None:
        """Free the port for the next sign-in: the same as :meth:`finish`."""
        self.finish(title, text, own)

    def finish(self, title: str, text: str, own: str = "") -> None:
        """Show the waiting browser how the sign-in ended; then close the port and end the thread.

        Any thread may call it, repeatedly.
        """
        with contextlib.suppress(InvalidStateError):
            self._outcome.set_result((title, text, own))
        self._shared.leave(self)

    def forked(self) -> None:
        """In a forked child: close its copies of the listening sockets. They would keep the port
        in use after the parent has freed it, and never reply."""
        self._server.forked()

    async def respond(self, request: LoopbackRequest) -> LoopbackReply | None:
        """The reply to a request of this sign-in; ``None`` for any other request."""
        answer = self._answer(request)
        if answer is None:
            return None
        if is_stray_refusal(answer):
            log.debug("an error response without state has arrived (%s)", word(answer["error"]))
            with contextlib.suppress(InvalidStateError):
                self.stray.set_result(answer)
            text = f"{says(answer)} {STRAY_REFUSAL}"
            return LoopbackReply(404, PAGE_HEADERS, page("The provider refused", text))
        if not self._is_genuine(answer):
            return None
        if not self.answer.done():
            self.answer.set_result(answer)
        title, text, own = await asyncio.shield(asyncio.wrap_future(self._outcome))
        if address := address_in(own):
            return LoopbackReply(303, [*PAGE_HEADERS, ("Location", address)])
        return LoopbackReply(200, PAGE_HEADERS, page(title, text, fragment=own))

    def _answer(self, request: LoopbackRequest) -> dict[str, str] | None:
        """The parameters of a request to the receiver's path, from its query or form."""
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
        return answer if len(answer) == len(pairs) else None  # a parameter twice (RFC 6749 §3.1)

    def _is_genuine(self, answer: dict[str, str]) -> bool:
        """Whether it is the response that this sign-in waits for."""
        state = answer.get("state", "")
        known = hmac.compare_digest(state.encode(), self.state.encode())
        return known and bool(answer.keys() & {"code", "error"})


def parts_of(redirect_uri: str) -> tuple[str, int, str]:
    """Host, port (0 for any) and path of a loopback address. Raises ``ConfigurationError``."""
    try:
        parts = urlsplit(redirect_uri)
        port = parts.port or 0
    except ValueError:
        parts, port = urlsplit(""), 0
    host = parts.hostname or ""
    extra = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "http" or host not in {"localhost", "127.0.0.1", "::1"} or extra:
        raise bad_redirect_uri(
            redirect_uri,
            "which is not a loopback address",
            "Set it to http://localhost, or to http://127.0.0.1:PORT/path as registered, without"
            " user name, query and fragment.",
        )
    return f"[{host}]" if ":" in host else host, port, parts.path


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigurationError | FlowUnavailable:
    """The error for a port that can't be opened, with advice for each cause."""
    otherwise = f"or sign in by device code: %login --flow {DEVICE}."
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}:
        return FlowUnavailable(
            f"This kernel can't listen for the browser: {os.strerror(error.errno)}.",
            code="cannot_listen",
            hint=f"Close files or restart the kernel, {otherwise}",
            suggested_flow=DEVICE,
        )
    if error.errno in ABSENT:
        return ConfigurationError(
            f"This machine has no address {host.strip('[]')} to listen on for the browser.",
            code="no_such_address",
            hint=f"Set redirect_uri to another registered loopback address, {otherwise}",
            suggested_flow=DEVICE,
        )
    if not port:
        return FlowUnavailable(
            "This kernel is not allowed to listen on a local port.",
            code="cannot_listen",
            hint=f"Sign in by device code: %login --flow {DEVICE}.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        low = "Ports below 1024 often need administrator rights. " if port < 1024 else ""
        return ConfigurationError(
            f"This kernel is not allowed to listen on port {port}.",
            code="cannot_listen",
            hint=f"{low}In redirect_uri, write a port above 1023 or no port, {otherwise}",
            suggested_flow=DEVICE,
        )
    if error.errno != errno.EADDRINUSE:
        return ConfigurationError(
            f"This kernel can't listen on port {port}: {os.strerror(error.errno or 0)}.",
            code="cannot_listen",
            hint=f"Write another port in redirect_uri, {otherwise}",
            suggested_flow=DEVICE,
        )
    ours = _is_another_kernels(port)
    return ConfigurationError(
        f"Port {port} on this machine is in use by"
        + (" a sign-in in another notebook." if ours else " another program."),
        code="port_taken",
        hint=("Finish or cancel that sign-in" if ours else "Stop that program")
        + f", remove the port from redirect_uri, {otherwise}",
        suggested_flow=DEVICE,
    )


def _is_another_kernels(port: int) -> bool:
    """Whether nbauth listens on a port, by its ``Server`` header. Takes at most a second."""
    return any(_server_at(host, port) == SERVER for host in (IPV4, IPV6))


def _server_at(host: str, port: int) -> str | None:
    connection = http.client.HTTPConnection(host, port, timeout=0.5)
    try:
        with contextlib.closing(connection):
            connection.request("HEAD", "/", headers={"Host": f"localhost:{port}"})
            return connection.getresponse().getheader("Server")
    except (OSError, http.client.HTTPException):
        return None
