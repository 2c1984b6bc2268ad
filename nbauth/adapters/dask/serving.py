"""The part in the notebook's kernel: answers the questions that the scheduler has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.protocol import to_serialize

from nbauth.adapters.dask.on_scheduler import OnScheduler, topic
from nbauth.adapters.dask.on_worker import OnWorker
from nbauth.adapters.dask.privacy import check_private, not_private
from nbauth.adapters.dask.sealed import Sealed
from nbauth.core.errors import AuthorityUnreachable, ConfigurationError
from nbauth.core.log import trail
from nbauth.kernel.asking.channel import BEAT, SILENCE
from nbauth.process_session import the_session

if TYPE_CHECKING:
    from distributed import Client

    from nbauth.kernel.session import Session
    from nbauth.kernel.workers import Workers

log = logging.getLogger(__name__)
AT_ONCE = 64
"""Questions that are answered at once; others wait. Each one needs a thread."""
Result = TypeVar("Result")


def serve(client: Client) -> Serving:
    """Give the workers of a cluster access tokens of this kernel's sign-ins.

    Afterwards the objects of ``nbauth.auth()``, ``nbauth.session()``, ``nbauth.credential()`` and
    ``nbauth.graph`` work in the tasks of this client. They keep the client, account and hosts with
    which they were made here. Late and restarted workers are served too. It ends with the client
    or this kernel; the workers then drop their tokens.

    Everybody who can connect to the scheduler can run code on its workers and so read an access
    token. nbauth has to be installed on the scheduler and the workers; a worker without it that
    comes later does not start.

    With ``Client(asynchronous=True)``, await the result. Such a client can answer only while its
    event loop is free.

    A second call returns the same object.

    Raises:
        ConfigurationError: the scheduler or a worker is on another machine, without TLS; or nbauth
            is not installed there; or the client is closed, or not connected yet.
        AuthorityUnreachable: the scheduler does not respond.
    """
    if not hasattr(client, "subscribe_topic"):  # a user may pass the cluster
        raise ConfigurationError(
            f"serve() needs a Client of Dask, and got a {type(client).__name__}.",
            code="client_not_connected",
            hint="Make one, client = Client(cluster), and call serve(client).",
        )
    if client.scheduler is None:
        raise ConfigurationError(
            "This Dask client is not connected with a scheduler.",
            code="client_not_connected",
            hint="Make a new client, with asynchronous=True await it, and call serve(client)"
            " again.",
        )
    workers = the_session().workers
    assert workers is not None
    made = workers.serving.setdefault(client.id, Serving(client, workers))
    started: Serving = client.sync(made.start)
    return started


class Serving:
    """What :func:`serve` returns. ``close()`` ends it."""

    def __init__(self, client: Client, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: set[int] = set()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._accounts: frozenset[object] = frozenset()
        self._watching: Callable[[], object] | None = None

    def __repr__(self) -> str:
        return f"<nbauth.adapters.dask.Serving {self._client.id}>"

    async def start(self) -> Serving:
        """Connect the kernel, the scheduler and its workers."""
        try:
            await self._start_all()
        except BaseException as error:
            self._workers.serving.pop(self._client.id, None)
            if not isinstance(error, OSError):
                raise
            raise AuthorityUnreachable(
                "The Dask scheduler does not respond, so its workers have no tokens.",
                code="scheduler_unreachable",
                hint="Check the cluster, then call serve(client) again.",
            ) from error
        self._watch(the_session())
        return self

    async def _start_all(self) -> None:
        scheduler = self._client.scheduler
        check_private(scheduler.address)
        for address in (await scheduler.identity())["workers"]:
            check_private(address)
        await self._install(OnScheduler())
        await self._install(OnWorker())
        self._client.subscribe_topic(topic(self._workers.id), self._told)
        refused = await scheduler.nbauth_serve(session=self._workers.id, client=self._client.id)
        if refused:
            self._client.unsubscribe_topic(topic(self._workers.id))
            raise not_private(refused)

    async def _install(self, plugin: OnScheduler | OnWorker) -> None:
        try:
            await self._client.register_plugin(plugin)
        except Exception as error:  # from a worker, it comes without its class
            if not isinstance(error, ImportError) and "No module named" not in str(error):
                raise
            if isinstance(plugin, OnWorker):  # else workers without nbauth could not start any more
                with contextlib.suppress(Exception):
                    await self._client.unregister_worker_plugin(plugin.name)
            where = "a worker" if isinstance(plugin, OnWorker) else "the scheduler"
            raise ConfigurationError(
                f"nbauth cannot be loaded on {where} of the Dask cluster ({error}).",
                code="missing_package",
                hint="Install the same version of nbauth[dask] in the notebook, on the scheduler"
                " and on the workers.",
            ) from None

    def _watch(self, session: Session) -> None:
        """Look for sign-outs, as long as this object exists."""
        self._unwatch()
        self._accounts = frozenset(session.cache.signed_in)
        changed = weakref.WeakMethod(self._changed)

        def observer() -> None:
            if (alive := changed()) is not None:
                alive()

        session.changed.connect(observer)
        end = weakref.finalize(self, session.changed.disconnect, observer)
        end.atexit = False
        self._watching = end

    def _unwatch(self) -> None:
        if self._watching is not None:
            self._watching()

    def close(self) -> Any:
        """End it; the workers drop their tokens. With an asynchronous client, await the result."""
        self._unwatch()
        self._workers.serving.pop(self._client.id, None)
        if self._client.status != "closed":
            return self._client.sync(self._close)
        return _nothing() if self._client.asynchronous else None

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._client.status != "running":
            return
        self._client.unsubscribe_topic(topic(self._workers.id))
        with contextlib.suppress(OSError, TimeoutError):  # then the scheduler misses the client
            ended = self._client.scheduler.nbauth_end(
                session=self._workers.id, client=self._client.id
            )
            await asyncio.wait_for(ended, SILENCE)

    def _told(self, _event: object) -> None:
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
            answer = asyncio.ensure_future(self._answered(question))
            while not (await asyncio.wait({answer}, timeout=BEAT))[0]:
                await scheduler.nbauth_working(session=self._workers.id, number=number)
            sealed = to_serialize(Sealed(json.dumps(answer.result())))
            await scheduler.nbauth_answer(session=self._workers.id, number=number, answer=sealed)
        finally:
            self._answering.discard(number)

    async def _answered(self, question: str) -> Mapping[str, Any]:
        async with self._free:
            return await _apart(lambda: self._workers.answer(json.loads(question)))

    def _changed(self) -> None:
        """An account may have been signed out: then workers have to drop its tokens."""
        now = frozenset(the_session().cache.signed_in)
        before, self._accounts = self._accounts, now
        if before - now and self._client.status == "running":
            self._client.loop.add_callback(lambda: self._start(self._forget()))

    async def _forget(self) -> None:
        await self._client.scheduler.nbauth_forget(session=self._workers.id)


async def _nothing() -> None:
    """What ``close()`` returns for an asynchronous client that is closed."""


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
