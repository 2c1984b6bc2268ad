"""What a worker keeps of the references that it has loaded."""

from __future__ import annotations

import gc
import pickle
import threading
from typing import Any

from nbauth.adapters.azure_core import Credential
from nbauth.kernel import loaded as loaded_references
from tests.kernel.conftest import Bench, until
from tests.kernel.worker_bench import Worker

MANY = 3 * loaded_references.ROOM


def loaded(worker: Worker) -> int:
    """The number of references for which the worker has something."""
    gc.collect()
    here = worker.bench.session.workers
    assert here is not None
    assert here.loaded._kept.keys() <= set(here.loaded._loaded)
    return len(here.loaded._loaded)


def pickled(notebook: Bench, number: int, **call: Any) -> bytes:
    """A pickled object; each number is another reference."""
    host = {f"host-{number}.example": ["read"]}
    return pickle.dumps(Credential(notebook.session.bind(hosts=host, **call)))


def test_references_whose_tokens_have_ended_are_dropped(notebook: Bench, worker: Worker) -> None:
    """Kernels come and go, and a worker stays."""
    notebook.sign_in("read")
    used = worker.loads(pickled(notebook, -1))
    for number in range(MANY):
        assert worker.loads(pickled(notebook, number)).get_token("read").token
        notebook.clock.advance(5000)
    assert loaded(worker) <= loaded_references.ROOM + 1
    # an object in use stays connected: a notebook's sign-out reaches it
    here = worker.bench.session.workers
    assert here is not None
    assert used.get_token("read").token
    here.loaded.forget(notebook.session.workers.id)  # type: ignore[union-attr]
    assert not used._bound._tokens.cache.tokens
    assert worker.loads(pickled(notebook, -1))._bound is used._bound


def test_tokens_are_kept_between_tasks(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    datas = [pickled(notebook, number) for number in range(MANY)]
    for _ in range(2):
        for data in datas:
            worker.loads(data).get_token("read")
    assert len(worker.channel.asked) == MANY


def test_one_thread_refreshes_ahead_for_all_references(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    here = worker.bench.session.workers
    assert here is not None
    ahead = {"refresh_ahead": True}
    made = [worker.loads(pickled(notebook, number, **ahead)) for number in range(MANY)]
    for one in made:
        one.get_token("read")
    (refresher,) = here.loaded._refreshers.values()
    for loaded in here.loaded._all():
        loaded.session.cache.renewed.connect(refresher.wake)
        loaded.session.cache.renewed.emit()
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("nbauth-refresh") <= 2  # the other one is the notebook's
    asked = len(worker.channel.asked)
    notebook.clock.advance(3600 - 310)  # within two margins of the end
    until(lambda: refresher.wake() or len(worker.channel.asked) >= asked + MANY)
    refresher.stop()
