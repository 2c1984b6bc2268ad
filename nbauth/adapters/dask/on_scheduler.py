"""The part on the scheduler: passes questions to kernels, and answers back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from distributed import SchedulerPlugin

from nbauth.adapters.dask.privacy import is_private
from nbauth.kernel.asking.channel import BEAT, SILENCE

if TYPE_CHECKING:
    from distributed import Scheduler

AGAIN = 1.5
"""Seconds after which the kernel is told again about a question that it has not fetched."""


def topic(session: str) -> str:
    """The topic of the events that tell a session's kernel of questions. They say nothing else."""
    return f"nbauth-{session}"


class _Pending:
    """A question that the kernel has not answered yet."""

    def __init__(self, question: str) -> None:
        self.question = question
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.heard = time.monotonic()


class OnScheduler(SchedulerPlugin):  # type: ignore[misc]
    """Passes questions of workers to kernels, and answers back. It keeps no answer."""

    name = "nbauth"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Add the handlers."""
        self._scheduler = scheduler
        self._clients: dict[str, set[str]] = {}
        self._pending: dict[str, dict[int, _Pending]] = {}
        self._count = 0
        scheduler.handlers |= {
            "nbauth_serve": self.serve,
            "nbauth_end": self.end,
            "nbauth_ask": self.ask,
            "nbauth_questions": self.questions,
            "nbauth_working": self.working,
            "nbauth_answer": self.answer,
            "nbauth_forget": self.forget,
        }

    def serve(self, comm: Any, session: str, client: str) -> str:
        """A client answers for a session. Returns an address that is not private, or ``""``."""
        if not is_private(comm.peer_address):
            return str(comm.peer_address)
        self._clients.setdefault(session, set()).add(client)
        self._pending.setdefault(session, {})
        return ""

    def end(self, session: str, client: str) -> None:
        """A client no longer answers for a session."""
        clients = self._clients.get(session, set())
        clients.discard(client)
        if session in self._clients and not clients:
            del self._clients[session]
            for pending in self._pending.pop(session).values():
                if not pending.answer.done():
                    pending.answer.set_result({"gone": True})
            self.forget(session)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A client has gone: with it the kernel, or only its connection."""
        for session in list(self._clients):
            if client in self._clients[session]:
                self.end(session, client)

    async def ask(self, comm: Any, session: str, question: str) -> Any:
        """A worker asks for a token. Signs of life are sent until the answer is there."""
        if not is_private(comm.peer_address):
            return {"not_private": comm.peer_address}
        if session not in self._clients:
            return {"gone": True}
        number, pending = self._same(session, question)
        told = -AGAIN
        try:
            while not pending.answer.done():
                now = time.monotonic()
                if now - pending.heard > SILENCE:
                    return {"silent": True}
                if now - told >= AGAIN:
                    told = now
                    self._scheduler.log_event(topic(session), {"action": "questions"})
                left = pending.heard + SILENCE - now
                await asyncio.wait({pending.answer}, timeout=min(BEAT, max(left, 0.01)))
                if not pending.answer.done():
                    await comm.write({"wait": True})
            return pending.answer.result()
        finally:
            self._pending.get(session, {}).pop(number, None)

    def _same(self, session: str, question: str) -> tuple[int, _Pending]:
        """The question, which another worker may have asked already."""
        waiting = self._pending[session]
        for number, pending in waiting.items():
            if pending.question == question and not pending.answer.done():
                return number, pending
        self._count += 1
        waiting[self._count] = _Pending(question)
        return self._count, waiting[self._count]

    def questions(self, session: str) -> list[tuple[int, str]]:
        """The questions to a session, with their numbers."""
        waiting = self._pending.get(session, {}).items()
        return [(number, one.question) for number, one in waiting if not one.answer.done()]

    def working(self, session: str, number: int) -> None:
        """The kernel works on a question."""
        if (pending := self._pending.get(session, {}).get(number)) is not None:
            pending.heard = time.monotonic()

    def answer(self, session: str, number: int, answer: Any) -> None:
        """The kernel has answered a question."""
        pending = self._pending.get(session, {}).get(number)
        if pending is not None and not pending.answer.done():
            pending.answer.set_result({"answer": answer})

    def forget(self, session: str) -> None:
        """Workers drop the tokens of a session."""
        for address in list(self._scheduler.stream_comms):
            self._scheduler.worker_send(address, {"op": "nbauth-forget", "session": session})
