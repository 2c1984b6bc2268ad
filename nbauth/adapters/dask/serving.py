"""The part in the notebook's kernel: answers the questions that the scheduler has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.protocol import to_serialize

from nbauth.adapters.dask.on_scheduler import OnScheduler, topic
from nbauth.adapters.dask.on_worker import OnWorker
from nbauth.adapters.dask.privacy import check_private, not_private
from nbauth.adapters.dask.sealed import Sealed
from nbauth.core.log import trail
from nbauth.kernel.asking.channel import BEAT
from nbauth.process_session import the_session

if TYPE_CHECKING:
    from distributed import Client

    from nbauth.kernel.workers import Workers

log = logging.getLogger(__name__)
Result = TypeVar("Result")


def serve(client: Client) -> Serving:
    """Give the workers of a cluster access tokens of this kernel's sign-ins.

    Afterwards the objects of ``nbauth.auth()``, ``nbauth.session()``, ``nbauth.credential()`` and
    ``nbauth.graph`` work in the tasks of this client. They keep the client, account and hosts with
    which they were made here. Late and restarted workers are served too. It ends with the client
    or this kernel; the workers then drop their tokens.

    Everybody who can connect to the scheduler can run code on its workers and so read an access
    token. nbauth has to be installed on the scheduler and the workers.

    With ``Client(asynchronous=True)``, await the result.

    Raises:
        ConfigurationError: the scheduler or a worker is on another machine, without TLS.
    """
    workers = the_session().workers
    assert workers is not None
    made = Serving(client, workers)
    started: Serving = client.sync(made.start)
    return started


class Serving:
    """What :func:`serve` returns. ``close()`` ends it."""

    def __init__(self, client: Client, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: set[int] = set()
        self._accounts: frozenset[object] = frozenset()

    def __repr__(self) -> str:
        return f"<nbauth.adapters.dask.Serving {self._client.id}>"

    async def start(self) -> Serving:
        """Connect the kernel, the scheduler and its workers."""
        scheduler = self._client.scheduler
        check_private(scheduler.address)
        known = await scheduler.identity(n_workers=-1)
        for address in known["workers"]:
            check_private(address)
        await self._client.register_plugin(OnScheduler())
        self._client.subscribe_topic(topic(self._workers.id), self._asked)
        refused = await scheduler.nbauth_serve(session=self._workers.id, client=self._client.id)
        if refused:
            raise not_private(refused)
        await self._client.register_plugin(OnWorker())
        session = the_session()
        self._accounts = frozenset(session.cache.signed_in)
        session.changed.connect(self._changed)
        return self

    def close(self) -> Any:
        """End it; the workers drop their tokens. With an asynchronous client, await the result."""
        return self._client.sync(self._close)

    async def _close(self) -> None:
        the_session().changed.disconnect(self._changed)
        with contextlib.suppress(ValueError):
            self._client.unsubscribe_topic(topic(self._workers.id))
        await self._client.scheduler.nbauth_end(session=self._workers.id, client=self._client.id)

    def _asked(self, _event: object) -> None:
        """The scheduler says that there are questions."""
        self._start(self._answer_all())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("workers were not answered: %s", trail(error))

    async def _answer_all(self) -> None:
        asked = await self._client.scheduler.nbauth_questions(session=self._workers.id)
        for number, question in asked:
            if number not in self._answering:
                self._answering.add(number)
                self._start(self._answer(number, question))

    async def _answer(self, number: int, question: str) -> None:
        scheduler = self._client.scheduler
        try:
            answer = asyncio.ensure_future(
                _apart(lambda: self._workers.answer(json.loads(question)))
            )
            while not (await asyncio.wait({answer}, timeout=BEAT))[0]:
                await scheduler.nbauth_working(session=self._workers.id, number=number)
            sealed = to_serialize(Sealed(json.dumps(answer.result())))
            await scheduler.nbauth_answer(session=self._workers.id, number=number, answer=sealed)
        finally:
            self._answering.discard(number)

    def _changed(self) -> None:
        """An account may have been signed out: then workers have to drop its tokens."""
        now = frozenset(the_session().cache.signed_in)
        before, self._accounts = self._accounts, now
        if before - now and self._client.status == "running":
            self._client.loop.add_callback(lambda: self._start(self._forget()))

    async def _forget(self) -> None:
        await self._client.scheduler.nbauth_forget(session=self._workers.id)


async def _apart(call: Callable[[], Result]) -> Result:
    """Make a call in a daemon thread, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not outcome.done():
            set_it(value)

    def run() -> None:
        try:
            done = outcome.set_result, call()
        except BaseException as error:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, outcome.set_exception, error)
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, *done)

    threading.Thread(target=run, name="nbauth-dask", daemon=True).start()
    return await outcome
