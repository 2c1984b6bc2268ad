"""Hands an authorization response to its kernel, and learns how the sign-in ended.

A kernel may take its time: it reads nothing while a computation holds the interpreter's lock (GIL),
and redeems the code at the provider afterwards. So a delivery goes on after the page was shown that
brought the response; the page follows it by its ticket.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Any

from tornado.httpclient import HTTPError
from tornado.websocket import WebSocketError
from zmq.error import ZMQError

from nbauth.core.callback_state import DELIVER, OUTCOME, CallbackState
from nbauth.server.control_channel import Control, open_control

LIFE = 15 * 60.0
"""Seconds after which a delivery is given up: no sign-in waits for longer."""
KEPT = 5 * 60.0
"""Seconds that an ended delivery can still be asked for."""
MOST = 64
"""Deliveries that are remembered; the oldest makes room for the next."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
RECONNECT_PAUSE = 1.0
FAILURES = (OSError, RuntimeError, HTTPError, WebSocketError, ZMQError)
"""Of a channel to a kernel."""


class End(Enum):
    """How a delivery ended without a word from the sign-in."""

    UNKNOWN = "no sign-in waits for it"
    GONE = "its kernel is no longer one of this server's"
    UNREACHABLE = "it could not be sent"
    UNTOLD = "the kernel has it, or had it, and does not say how the sign-in ended"


@dataclass(frozen=True)
class Told:
    """How the sign-in ended, in the kernel's words; ``own`` is a fragment or an address, or ``""``.

    A kernel with an older nbauth sends no ``own``.
    """

    title: str
    text: str
    own: str


class Delivery:
    """One response on its way.

    Attributes:
        ticket: names it, to the owner of this server alone.
        sent: whether it was sent to the kernel; a gateway may take its time to connect.
        taken: whether the kernel has said that it has the response.
    """

    def __init__(self, kernels: Any, state: CallbackState, answer: dict[str, str]) -> None:
        self.ticket = secrets.token_urlsafe(16)
        self.taken = False
        self.sent = False
        self._kernels = kernels
        self._kernel_id = state.kernel_id
        self._state = state
        self._answer: dict[str, str] | None = answer
        self._question = {"state": answer["state"]}
        self._ended: float | None = None
        self._task = asyncio.create_task(self._run())

    async def end(self, patience: float) -> Told | End | None:
        """How it ended, ``None`` if it has not in so many seconds."""
        done, _ = await asyncio.wait({self._task}, timeout=patience)
        return self._task.result() if done else None

    def is_over(self) -> bool:
        """Whether it ended so long ago that nobody asks for it any more."""
        return self._ended is not None and monotonic() - self._ended > KEPT

    def is_of(self, state: CallbackState) -> bool:
        """Whether its response is for this sign-in, and is on its way or was accepted."""
        same = hmac.compare_digest(str(self._state), str(state))
        return same and (self.taken or not self._task.done())

    def stop(self) -> None:
        """Give it up; whoever waits for it is told that the outcome is not known."""
        self._task.cancel()

    async def _run(self) -> Told | End:
        try:
            async with asyncio.timeout(LIFE):
                return await self._carry()
        except (TimeoutError, asyncio.CancelledError):
            return End.UNTOLD
        finally:
            self._answer = None
            self._ended = monotonic()

    def _is_there(self) -> bool:
        return self._kernel_id in self._kernels

    async def _carry(self) -> Told | End:
        while self._is_there():
            manager = self._kernels.get_kernel(self._kernel_id)
            try:
                async with open_control(manager, self._kernel_id, self._is_there) as control:
                    if not self.sent and not await self._deliver(control):
                        return End.UNKNOWN
                    return await self._outcome(control)
            except FAILURES:
                if not self.sent:
                    return End.UNREACHABLE
            await asyncio.sleep(RECONNECT_PAUSE)
        return End.UNTOLD if self.taken else End.GONE

    async def _deliver(self, control: Control) -> bool:
        assert self._answer is not None
        reply = await control.ask(DELIVER, self._answer, self._note_sent)
        self.taken = bool(reply.get("known"))
        return self.taken

    def _note_sent(self) -> None:
        self.sent, self._answer = True, None

    async def _outcome(self, control: Control) -> Told | End:
        """Ask until it has ended. The kernel's control thread is never held up for it."""
        pause = FIRST_PAUSE
        while True:
            reply = await control.ask(OUTCOME, self._question)
            if reply.get("ended"):
                return Told(str(reply["title"]), str(reply["text"]), str(reply.get("own", "")))
            if not reply.get("known", bool(reply)):
                return End.UNTOLD
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class Deliveries:
    """The deliveries of one server. They keep no response after it was sent."""

    def __init__(self) -> None:
        self._all: dict[str, Delivery] = {}

    def begin(self, kernels: Any, state: CallbackState, answer: dict[str, str]) -> Delivery:
        """Start to deliver a response. The event loop completes the delivery.

        A browser may request the page twice: in a second tab, or again after a broken connection.
        A sign-in accepts one response, so the first delivery is returned for each request.
        """
        for ticket in [ticket for ticket, one in self._all.items() if one.is_over()]:
            del self._all[ticket]
        for one in self._all.values():
            if one.is_of(state):
                return one
        while len(self._all) >= MOST:
            self._all.pop(next(iter(self._all))).stop()
        begun = Delivery(kernels, state, answer)
        self._all[begun.ticket] = begun
        return begun

    def named(self, ticket: str) -> Delivery | None:
        """The delivery of a ticket, ``None`` if there is none or it ended long ago."""
        return self._all.get(ticket)
