"""The part on the scheduler: passes questions to kernels, and answers back."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from distributed import SchedulerPlugin

from nbauth.adapters.dask.privacy import is_private
from nbauth.kernel.asking.channel import BEAT, SILENCE
from nbauth.process_session import the_session

if TYPE_CHECKING:
    from distributed import Scheduler

AGAIN = 1.5
"""Seconds after which the kernel is told again about a question that it has not fetched."""


def topic(session: str) -> str:
    """The topic of the events that tell a session's kernel of questions. They say nothing else."""
    return f"nbauth-{session}"


class _Pending:
    """A question that the kernel has not answered yet.

    Attributes:
        answer: what the workers that wait for it get.
        heard: when the kernel gave the last sign of life.
        told: when the kernel was told of it.
        waiting: the number of workers that wait for it.
    """

    def __init__(self, question: str) -> None:
        self.question = question
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.heard = time.monotonic()
        self.told = self.heard - AGAIN
        self.waiting = 0


class _Session:
    """A session, for which its kernel's clients answer.

    Attributes:
        clients: their ids.
        workers: the addresses of the workers that have asked: only they can have tokens.
        pending: the questions, by number.
    """

    def __init__(self) -> None:
        self.clients: set[str] = set()
        self.workers: set[str] = set()
        self.pending: dict[int, _Pending] = {}


class OnScheduler(SchedulerPlugin):  # type: ignore[misc]
    """Passes questions of workers to kernels, and answers back. It keeps no answer."""

    name = "nbauth"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Add the handlers."""
        self._scheduler = scheduler
        self.sessions: dict[str, _Session] = {}
        self._lost: dict[str, set[str]] = {}
        workers = the_session().workers
        assert workers is not None
        workers.references.passes.add(self)
        self._count = int.from_bytes(os.urandom(6))  # a late answer is not for another question
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
        if client in self._scheduler.clients:
            self.sessions.setdefault(session, _Session()).clients.add(client)
        else:  # it went while it was asking; it may come back
            self._lost.setdefault(client, set()).add(session)
        return ""

    def end(self, session: str, client: str) -> None:
        """A client no longer answers for a session. With the last one, the workers forget it."""
        self._lost.pop(client, None)
        self._scheduler.unsubscribe_topic(topic(session), client)
        self._without(session, client)

    def _without(self, session: str, client: str) -> None:
        of = self.sessions.get(session)
        if of is None or client not in of.clients:
            return
        of.clients.discard(client)
        if not of.clients:
            for pending in of.pending.values():
                if not pending.answer.done():
                    pending.answer.set_result({"gone": True})
            self.forget(session)
            del self.sessions[session]

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A client has gone: with it the kernel, or only its connection."""
        for session in [name for name, of in self.sessions.items() if client in of.clients]:
            self._lost.setdefault(client, set()).add(session)
            self._without(session, client)

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """A client has come. If only its connection was lost, it answers again."""
        for session in self._lost.pop(client, set()):
            self.sessions.setdefault(session, _Session()).clients.add(client)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_kwargs: Any) -> None:
        """A worker has gone, with its tokens."""
        for of in self.sessions.values():
            of.workers.discard(worker)

    async def ask(self, comm: Any, session: str, question: str, worker: str) -> Any:
        """A worker asks for a token. Signs of life are sent until the answer is there."""
        if not is_private(comm.peer_address):
            return {"not_private": comm.peer_address}
        if (of := self.sessions.get(session)) is None:
            return {"gone": True}
        of.workers.add(worker)
        number, pending = self._same(of, question)
        pending.waiting += 1
        try:
            while not pending.answer.done():
                now = time.monotonic()
                if now - pending.heard > SILENCE:
                    return {"silent": True}
                if now - pending.told >= AGAIN:
                    pending.told = now
                    self._scheduler.log_event(topic(session), {"action": "questions"})
                left = pending.heard + SILENCE - now
                await asyncio.wait({pending.answer}, timeout=min(BEAT, max(left, 0.01)))
                if not pending.answer.done():
                    await comm.write({"wait": True})
            return pending.answer.result()
        finally:
            pending.waiting -= 1
            if not pending.waiting:
                of.pending.pop(number, None)

    def _same(self, of: _Session, question: str) -> tuple[int, _Pending]:
        """The question, which another worker may have asked already."""
        for number, pending in of.pending.items():
            if pending.question == question and not pending.answer.done():
                return number, pending
        self._count += 1
        of.pending[self._count] = _Pending(question)
        return self._count, of.pending[self._count]

    def questions(self, session: str) -> list[tuple[int, str]]:
        """The questions to a session, with their numbers."""
        waiting = self._pending_of(session).items()
        return [(number, one.question) for number, one in waiting if not one.answer.done()]

    def working(self, session: str, number: int) -> None:
        """The kernel works on a question."""
        if (pending := self._pending_of(session).get(number)) is not None:
            pending.heard = time.monotonic()

    def answer(self, session: str, number: int, answer: Any) -> None:
        """The kernel has answered a question."""
        pending = self._pending_of(session).get(number)
        if pending is not None and not pending.answer.done():
            pending.answer.set_result({"answer": answer})

    def _pending_of(self, session: str) -> dict[int, _Pending]:
        of = self.sessions.get(session)
        return {} if of is None else of.pending

    def forget(self, session: str) -> None:
        """Workers drop the tokens of a session."""
        of = self.sessions.get(session)
        present = set() if of is None else of.workers & set(self._scheduler.stream_comms)
        # not to other workers: one without the handler would end at this message
        for address in present:
            self._scheduler.worker_send(address, {"op": "nbauth-forget", "session": session})
