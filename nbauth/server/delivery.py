"""Carries an answer to a kernel, and brings back how the sign-in ended.

On the control channel, because a kernel reads it while a cell runs: through a client in this
process for a kernel of this server's own, over a websocket for one behind a gateway (whose
``GatewayKernelManager.client()`` opens its websocket without the gateway's token).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
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

from nbauth.core.callback_state import DELIVER, OUTCOME, CallbackState

PATIENCE = 10.0
"""Seconds a kernel has to take the answer."""
OUTCOME_PATIENCE = 20.0
"""Seconds until the page stops waiting for the provider's answer to the kernel."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5


class Refusal(Enum):
    """Why an answer did not find its sign-in."""

    UNKNOWN = "no sign-in waits for it"
    UNANSWERED = "the kernel said nothing"


async def deliver(
    kernel_manager: Any, state: CallbackState, answer: dict[str, str]
) -> tuple[str, str] | Refusal | None:
    """Hand over an answer; gives the title and text that the kernel has for the person.

    ``None`` if it took the answer, but has not said in time how it ended.
    """
    manager = kernel_manager.get_kernel(state.kernel_id)
    remote = isinstance(manager, GatewayKernelManager)
    way = _gateway(state.kernel_id) if remote else _local(manager)
    try:
        async with asyncio.timeout(PATIENCE) as limit, way as control:
            reply = await control.ask(DELIVER, answer, echo=True)
            if not reply.get("known"):
                return Refusal.UNKNOWN
            limit.reschedule(None)
            return await _outcome(control, {"state": answer["state"]})
    except (TimeoutError, OSError, RuntimeError):
        return Refusal.UNANSWERED


async def _outcome(control: _Control, question: dict[str, str]) -> tuple[str, str] | None:
    """Ask until it has ended. The kernel's control thread is never held up for it."""
    pause = FIRST_PAUSE
    try:
        async with asyncio.timeout(OUTCOME_PATIENCE):
            while True:
                reply = await control.ask(OUTCOME, question)
                if reply.get("ended"):
                    return str(reply["title"]), str(reply["text"])
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
    except (TimeoutError, OSError, RuntimeError):
        return None


class _Channel(Protocol):
    async def send(self, message: dict[str, Any]) -> None: ...
    async def receive(self) -> dict[str, Any]: ...


class _Control:
    """Questions and replies on a control channel."""

    def __init__(self, session: Session, channel: _Channel) -> None:
        self._session = session
        self._channel = channel

    async def ask(
        self, kind: str, parameters: dict[str, str], *, echo: bool = False
    ) -> dict[str, Any]:
        """The content of the kernel's reply.

        A kernel says nothing to a kind of message that it does not know. With ``echo`` it is
        asked something that every kernel knows right after; if only that is answered, the reply
        is empty.
        """
        message = self._session.msg(kind, {})
        message["buffers"] = [json.dumps(parameters).encode()]
        await self._channel.send(message)
        awaited = {message["msg_id"]}
        if echo:
            known = self._session.msg("kernel_info_request", {})
            await self._channel.send({**known, "buffers": []})
            awaited.add(known["msg_id"])
        while True:
            reply = await self._channel.receive()
            if reply["parent_header"].get("msg_id") in awaited:
                content: dict[str, Any] = reply["content"]
                return content if reply["msg_type"] == f"{kind}_reply" else {}


@asynccontextmanager
async def _local(manager: Any) -> AsyncIterator[_Control]:
    session = manager.session.clone()
    session.session = str(uuid4())  # a kernel answers only one of those with the same identity
    client = manager.client(session=session)
    client.start_channels(shell=False, iopub=False, stdin=False, hb=False, control=True)
    try:
        yield _Control(session, _LocalChannel(client.control_channel))
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
async def _gateway(kernel_id: str) -> AsyncIterator[_Control]:
    session = Session()
    gateway = GatewayClient.instance()
    address = url_path_join(
        gateway.ws_url or "", gateway.kernels_endpoint, url_escape(kernel_id), "channels"
    )
    options = gateway.load_connection_args() | {"connect_timeout": PATIENCE}
    socket = await websocket_connect(
        HTTPRequest(f"{address}?session_id={session.session}", **options)
    )
    try:
        yield _Control(session, _GatewayChannel(socket))
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
