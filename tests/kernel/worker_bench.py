"""A worker in this process: a second session, which asks the session of a ``Bench``."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nbauth.core.signal import Signal
from nbauth.kernel.workers import Workers
from tests.kernel.conftest import Bench

_loading: list[Any] = []


def session_that_loads() -> Any:
    return _loading[-1]


class Direct:
    """A ``Channel`` to a session of this process; it carries JSON, as the real ones do."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.asked: list[Mapping[str, Any]] = []
        self.change: Callable[[Any], Any] = lambda answer: answer

    def ask(self, session: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        assert session == self._workers.id
        self.asked.append(question)
        answer = self._workers.answer(json.loads(json.dumps(question)))
        changed: Mapping[str, Any] = self.change(json.loads(json.dumps(answer)))
        return changed


class Worker:
    """A session that gets the tokens of a notebook's session.

    Attributes:
        bench: of the worker. Its engine sees what the worker sends to a provider: nothing.
        channel: to the notebook.
    """

    def __init__(self, notebook: Bench) -> None:
        workers = notebook.session.workers
        assert workers is not None
        self.bench = Bench(notebook.clock)
        self.bench.session.be_found_by(session_that_loads)
        self.channel = Direct(workers)
        assert self.bench.session.workers is not None
        self.bench.session.workers.loaded.channel = self.channel

    def load(self, made: Any) -> Any:
        """What the worker has, if the notebook sends an object to it."""
        return self.loads(pickle.dumps(made))

    def loads(self, data: bytes) -> Any:
        """What the worker has of a pickled object."""
        with loading_in(self.bench):
            made = pickle.loads(data)
        workers: Any = self.bench.session.workers
        for loaded in workers.loaded._all():  # no refresh ahead of need beside the tests
            loaded.session.cache.renewed = Signal()
        return made


@contextmanager
def loading_in(bench: Bench) -> Iterator[None]:
    """Pickled objects are loaded by the session of this bench."""
    _loading.append(bench.session)
    try:
        yield
    finally:
        _loading.pop()
