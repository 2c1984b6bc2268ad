"""The part on a worker: asks the scheduler for tokens."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from distributed import WorkerPlugin
from distributed.comm import connect

from nbauth.adapters.dask.privacy import check_private, not_private
from nbauth.adapters.dask.sealed import Sealed
from nbauth.core.errors import AuthorityUnreachable, TokenError
from nbauth.kernel.asking.channel import SILENCE, gone, silent
from nbauth.process_session import the_session

if TYPE_CHECKING:
    from distributed import Worker

Result = TypeVar("Result")
WORKER = "this Dask worker"
GONE = (
    "If the notebook still runs, call nbauth.adapters.dask.serve(client) there. Otherwise, sign in"
    " again in a notebook, and start the work from there."
)


class OnWorker(WorkerPlugin):  # type: ignore[misc]
    """Connects the session of a worker with the scheduler."""

    name = "nbauth"
    idempotent = True

    def setup(self, worker: Worker) -> None:
        """The worker joins, or has been restarted."""
        workers = the_session().workers
        assert workers is not None
        self._workers = workers
        args = worker.security.get_connection_args("worker")
        self._channel = Dask(worker.scheduler.address, worker.address, args)
        if not worker.address.startswith("inproc:"):  # else this is the notebook's kernel itself
            workers.loaded.channel = self._channel
        # It stays after teardown: the worker would end at a message without a handler.
        worker.stream_handlers["nbauth-forget"] = self._forget

    def _forget(self, session: str) -> None:
        self._channel.forgotten += 1
        self._workers.loaded.forget(session)

    def teardown(self, worker: Worker) -> None:
        """The worker ends."""
        if self._workers.loaded.channel is self._channel:
            self._workers.loaded.channel = None


class Dask:
    """A ``Channel`` of a worker to the notebook's kernel, by the scheduler.

    It makes a connection for each question, so that it does not need the event loop of the worker,
    which a task may block.

    Args:
        scheduler: its address.
        worker: the address of this worker.
        connection: how to connect.

    Attributes:
        forgotten: how often the notebook has told this worker to drop tokens.
    """

    def __init__(self, scheduler: str, worker: str, connection: Mapping[str, Any]) -> None:
        self._scheduler = scheduler
        self._worker = worker
        self._connection = connection
        self.forgotten = 0

    def ask(self, session: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """See ``kernel.asking.channel.Channel``."""
        check_private(self._scheduler)
        forgotten = -1
        while forgotten != self.forgotten:  # an answer from before is not to be kept
            forgotten = self.forgotten
            said = _without_loop(lambda: self._said(session, json.dumps(question)))
        match said:
            case {"answer": Sealed() as sealed}:
                answer: Mapping[str, Any] = json.loads(sealed.text)
                return answer
            case {"silent": True}:
                raise silent(WORKER)
            case {"gone": True}:
                raise gone(WORKER, GONE)
            case {"not_private": str(address)}:
                raise not_private(address)
        raise TokenError(
            "The Dask scheduler does not pass on questions for tokens.",
            code="not_served",
            hint="In the notebook, call nbauth.adapters.dask.serve(client) again.",
        )

    async def _said(self, session: str, question: str) -> Any:
        """What the scheduler says at last."""
        try:
            # connect() limits only a part of its work
            async with asyncio.timeout(SILENCE) as limit:
                comm = await connect(self._scheduler, timeout=SILENCE, **self._connection)
                try:
                    asked = {"session": session, "question": question, "worker": self._worker}
                    await comm.write({"op": "nbauth_ask", **asked})
                    while (said := await comm.read()) == {"wait": True}:
                        limit.reschedule(asyncio.get_running_loop().time() + SILENCE)
                    return said
                finally:
                    comm.abort()
        except (TimeoutError, OSError) as error:
            raise AuthorityUnreachable(
                f"The Dask scheduler at {self._scheduler} does not respond, so {WORKER} has no"
                " token.",
                code="scheduler_unreachable",
                hint="Check the cluster, then repeat the call.",
            ) from error


def _without_loop(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine in a thread that runs no event loop: this one, or a new one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    brought: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            brought.append(asyncio.run(work()))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="nbauth-dask", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return brought[0]
