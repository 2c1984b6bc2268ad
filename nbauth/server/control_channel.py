"""Questions to a kernel on its control channel, which it reads while a cell runs.

Through a client in this process for a kernel of this server's own, over a websocket for one behind
a gateway (whose ``GatewayKernelManager.client()`` opens its websocket without the gateway's token).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

from jupyter_client.session import Session
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    serialize_binary_message,
)
from jupyter_server.utils import url_escape, url_path_join
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

CONNECT_TIMEOUT = 10.0
FIRST_ECHO, LONGEST_ECHO = 2.0, 5.0
"""Seconds between the requests that every kernel answers, while a reply is awaited."""


class _Channel(Protocol):
    async def send(self, message: dict[str, Any]) -> None: ...
    async def receive(self) -> dict[str, Any]: ...


class Control:
    """Questions and replies on a control channel.

    Args:
        is_there: whether the server still has this kernel.
    """

    def __init__(self, session: Session, channel: _Channel, is_there: Callable[[], bool]) -> None:
        self._is_there = is_there
        self._session = session
        self._channel = channel

    async def ask(
        self, kind: str, parameters: dict[str, str], on_sent: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """The content of the kernel's reply, as long as the server has the kernel.

        The content is empty if the kernel does not know this kind of message, or was restarted
        before it read it. It is sent a ``kernel_info_request`` right after, which every kernel
        answers, and again from time to time; an answer to that alone means that none will come.

        Raises ``ConnectionResetError`` if the kernel is gone or the channel was closed.
        """
        awaited = {await self._send(kind, [json.dumps(parameters).encode()])}
        on_sent()
        pause = FIRST_ECHO
        while self._is_there():
            awaited.add(await self._send("kernel_info_request", []))
            reply = await self._reply_to(awaited, pause)
            if reply is not None:
                content: dict[str, Any] = reply["content"]
                return content if reply["msg_type"] == f"{kind}_reply" else {}
            pause = min(2 * pause, LONGEST_ECHO)
        raise ConnectionResetError("the kernel is gone")

    async def _send(self, kind: str, buffers: list[bytes]) -> str:
        message = {**self._session.msg(kind, {}), "buffers": buffers}
        await self._channel.send(message)
        return str(message["msg_id"])

    async def _reply_to(self, awaited: set[str], patience: float) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(patience):
                while True:
                    reply = await self._channel.receive()
                    if reply["parent_header"].get("msg_id") in awaited:
                        return reply
        except TimeoutError:
            return None


def open_control(
    manager: Any, kernel_id: str, is_there: Callable[[], bool]
) -> AbstractAsyncContextManager[Control]:
    """A control channel of its own to a kernel.

    Args:
        manager: the kernel's, as the server's ``MappingKernelManager`` gives it.
        is_there: see :class:`Control`.

    Entering it raises ``OSError``, ``RuntimeError`` or tornado's errors where a gateway cannot be
    reached.
    """
    if isinstance(manager, GatewayKernelManager):
        return _gateway(kernel_id, is_there)
    return _local(manager, is_there)


@asynccontextmanager
async def _local(manager: Any, is_there: Callable[[], bool]) -> AsyncIterator[Control]:
    session = manager.session.clone()
    session.session = str(uuid4())  # a kernel answers only one of those with the same identity
    client = manager.client(session=session)
    client.start_channels(shell=False, iopub=False, stdin=False, hb=False, control=True)
    try:
        yield Control(session, _LocalChannel(client.control_channel), is_there)
    finally:
        client.stop_channels()


class _LocalChannel:
    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def send(self, message: dict[str, Any]) -> None:
        self._channel.send(message)

    async def receive(self) -> dict[str, Any]:
        reply: dict[str, Any] = await self._channel.get_msg()
        return reply


@asynccontextmanager
async def _gateway(kernel_id: str, is_there: Callable[[], bool]) -> AsyncIterator[Control]:
    session = Session()
    gateway = GatewayClient.instance()
    address = url_path_join(
        gateway.ws_url or "", gateway.kernels_endpoint, url_escape(kernel_id), "channels"
    )
    options = gateway.load_connection_args() | {"connect_timeout": CONNECT_TIMEOUT}
    socket = await websocket_connect(
        HTTPRequest(f"{address}?session_id={session.session}", **options)
    )
    try:
        yield Control(session, _GatewayChannel(socket), is_there)
    finally:
        socket.close()


class _GatewayChannel:
    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket

    async def send(self, message: dict[str, Any]) -> None:
        await self._socket.write_message(
            serialize_binary_message({**message, "channel": "control"}), binary=True
        )

    async def receive(self) -> dict[str, Any]:
        while True:
            text = await self._socket.read_message()
            if text is None:
                raise ConnectionResetError("the gateway hung up")
            message: dict[str, Any] = (
                deserialize_binary_message(text) if isinstance(text, bytes) else json.loads(text)
            )
            if message["channel"] == "control":
                return message
