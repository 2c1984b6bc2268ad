"""The methods of :class:`nbauth.Graph` for ``await``.

Each call runs in a thread. Its tokens come from the event loop, so a sign-in blocks neither.
Cancelling the task ends the waits of the thread; a response that arrives later is dropped.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from nbauth.core.interrupts import Flag
from nbauth.kernel.calls.asking_on_loop import AskingOnLoop
from nbauth.msgraph.addresses import Path
from nbauth.msgraph.files.file_operations import CHUNK
from nbauth.msgraph.later import Later, check_stopped, stopped
from nbauth.msgraph.odata import Options
from nbauth.msgraph.operations import Operations

if TYPE_CHECKING:
    from nbauth.msgraph.batch.items import BatchItems, Requested
    from nbauth.msgraph.changes import Changes
    from nbauth.msgraph.files.sources import File
    from nbauth.msgraph.files.targets import To
    from nbauth.msgraph.files.upload import Conflict

Result = TypeVar("Result")
_END: Any = object()


class AsyncGraph:
    """Calls Microsoft Graph without blocking the event loop; see :class:`Graph`."""

    def __init__(self, graph: Operations) -> None:
        self._graph = graph

    def __repr__(self) -> str:
        return repr(self._graph).replace("Graph", "Graph.aio", 1)

    def __dask_tokenize__(self) -> object:
        return "aio", self._graph

    async def get(self, path: Path, **options: Unpack[Options]) -> Any:
        """As :meth:`Graph.get`."""
        return await self._call(lambda graph: graph.get(path, **options))

    async def request(
        self, method: str, path: Path, json: object = None, **options: Unpack[Options]
    ) -> Any:
        """As :meth:`Graph.request`."""
        return await self._call(lambda graph: graph.request(method, path, json, **options))

    async def list(
        self, path: Path, *, limit: int | None = None, **options: Unpack[Options]
    ) -> AsyncIterator[Any]:
        """All rows of a list: ``async for row in graph.aio.list("users")``."""
        rows = await self._call(lambda graph: graph.list(path, limit=limit, **options))
        pages = rows.pages()
        flag = Flag()  # of all threads of the list: a page is requested ahead
        try:
            while (page := await _in_a_thread(lambda: next(pages, _END), flag)) is not _END:
                for row in page:
                    yield row
        finally:
            flag.set()

    async def df(
        self,
        path: Path,
        *,
        limit: int | None = None,
        progress: bool = True,
        to: Literal["pandas", "polars", "table"] | None = None,
        **options: Unpack[Options],
    ) -> Any:
        """As :meth:`Graph.df`."""
        return await self._call(
            lambda graph: graph.df(path, limit=limit, progress=progress, to=to, **options)
        )

    async def get_many(
        self,
        paths: Iterable[Path],
        width: int = 4,
        *,
        limit: int | None = None,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> BatchItems:
        """As :meth:`Graph.get_many`."""
        return await self._call(
            lambda graph: graph.get_many(paths, width, limit=limit, progress=progress, **options)
        )

    async def post(self, path: Path, json: object = None, **options: Unpack[Options]) -> Any:
        """As :meth:`Graph.post`."""
        return await self._call(lambda graph: graph.post(path, json, **options))

    async def patch(self, path: Path, json: object = None, **options: Unpack[Options]) -> Any:
        """As :meth:`Graph.patch`."""
        return await self._call(lambda graph: graph.patch(path, json, **options))

    async def put(self, path: Path, json: object = None, **options: Unpack[Options]) -> Any:
        """As :meth:`Graph.put`."""
        return await self._call(lambda graph: graph.put(path, json, **options))

    async def delete(self, path: Path, **options: Unpack[Options]) -> None:
        """As :meth:`Graph.delete`."""
        await self._call(lambda graph: graph.delete(path, **options))

    async def batch(
        self, requests: Iterable[Requested], width: int = 4, *, progress: bool = True
    ) -> BatchItems:
        """As :meth:`Graph.batch`."""
        return await self._call(lambda graph: graph.batch(requests, width, progress=progress))

    async def delta(
        self,
        path: Path,
        state: str | None = None,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Changes:
        """As :meth:`Graph.delta`."""
        return await self._call(
            lambda graph: graph.delta(path, state, progress=progress, **options)
        )

    async def upload(
        self,
        path: Path,
        file: File,
        *,
        conflict: Conflict = "replace",
        chunk: int = CHUNK,
        progress: bool = True,
    ) -> Any:
        """As :meth:`Graph.upload`."""
        return await self._call(
            lambda graph: graph.upload(
                path, file, conflict=conflict, chunk=chunk, progress=progress
            )
        )

    async def download(self, path: Path, to: To | None = None, *, progress: bool = True) -> Any:
        """As :meth:`Graph.download`."""
        return await self._call(lambda graph: graph.download(path, to, progress=progress))

    async def _call(self, call: Callable[[Operations], Result]) -> Result:
        graph = self._graph
        bound = AskingOnLoop(graph.bound, asyncio.get_running_loop(), check_stopped)
        here = graph.with_bound(bound)
        try:
            return await _in_a_thread(lambda: call(here))
        finally:
            if here.partial is not None:
                graph.partial = here.partial


async def _in_a_thread(call: Callable[[], Result], flag: Flag | None = None) -> Result:
    """Run a call in a thread, which stops at its next wait if this task is cancelled.

    ``flag``: stops it too.
    """
    loop = asyncio.get_running_loop()
    flag, ended = flag or Flag(), asyncio.Event()
    context = contextvars.copy_context()
    context.run(stopped.set, flag)

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended.set)

    later = context.run(Later, call, wake)
    try:
        await ended.wait()
    except BaseException:
        flag.set()
        raise
    return later.result()
