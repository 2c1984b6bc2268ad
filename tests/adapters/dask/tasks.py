"""What the tests run on workers of a Dask cluster."""

from __future__ import annotations

import os
import pickle
import threading
import time
from typing import Any, NamedTuple

from nbauth.adapters.dask import on_worker
from nbauth.core.errors import NbAuthError
from nbauth.kernel.asking.messages import digest
from nbauth.process_session import the_session

SCOPE = "User.Read"
_asked: list[tuple[str, float]] = []


class Use(NamedTuple):
    """How a task got a token.

    Attributes:
        worker: the process id.
        took: seconds.
        at: when it had it; seconds since the epoch.
        token: its digest.
    """

    worker: int
    took: float
    at: float
    token: str


def use(credential: Any, pause: float = 0.0) -> Use:
    """Get a token, and do something for ``pause`` seconds. ``credential``: may be pickled."""
    if isinstance(credential, bytes):
        credential = pickle.loads(credential)
    began = time.perf_counter()
    got = credential.get_token(SCOPE)
    took, at = time.perf_counter() - began, time.time()
    time.sleep(pause)
    return Use(os.getpid(), took, at, digest(got.token))


def use_wider(credential: Any) -> None:
    """Get a token that the notebook has to fetch."""
    credential.get_token("Mail.Read")


def use_numbered(_number: int, credential: Any, pause: float) -> Use:
    """The same, for ``Client.map``."""
    return use(credential, pause)


async def use_async(credential: Any) -> Use:
    """The same, in a task that is a coroutine: it runs in the worker's event loop."""
    return use(credential)


class Outcome(NamedTuple):
    """How :func:`use` ended; the error, if there is one."""

    code: str
    said: str
    hint: str
    took: float


def outcome(credential: Any) -> Outcome:
    """The outcome of :func:`use`."""
    began = time.perf_counter()
    try:
        use(credential)
    except NbAuthError as error:
        return Outcome(error.code, str(error), error.hint or "", time.perf_counter() - began)
    return Outcome("", "", "", time.perf_counter() - began)


def count_questions() -> None:
    """In a worker: from now on, note which threads ask the kernel."""
    _asked.clear()
    if not hasattr(on_worker.Dask.ask, "counted"):
        plain = on_worker.Dask.ask

        def ask(self: Any, *args: Any) -> Any:
            began = time.monotonic()
            try:
                return plain(self, *args)
            finally:
                _asked.append((threading.current_thread().name, time.monotonic() - began))

        ask.counted = True  # type: ignore[attr-defined]
        on_worker.Dask.ask = ask  # type: ignore[method-assign, assignment]


def questions() -> list[tuple[str, float]]:
    """In a worker: the threads that have asked the kernel, and how long they waited for it."""
    return list(_asked)


def tokens_held() -> int:
    """In a worker: the number of access tokens that it holds."""
    workers = the_session().workers
    assert workers is not None
    loaded = workers.loaded._all()
    return sum(len(list(one.session.cache.tokens)) for one in loaded)
