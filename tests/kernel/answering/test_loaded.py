"""What a worker keeps of the references that it has loaded."""

from __future__ import annotations

import gc
import pickle

from nbauth.adapters.azure_core import Credential
from nbauth.kernel import workers
from tests.kernel.conftest import Bench
from tests.kernel.worker_bench import Worker

MANY = 3 * workers.ROOM


def loaded(worker: Worker) -> int:
    """The number of references for which the worker has something."""
    gc.collect()
    here = worker.bench.session.workers
    assert here is not None
    assert here._kept.keys() <= set(here._loaded)
    return len(here._loaded)


def pickled(notebook: Bench, number: int) -> bytes:
    """A pickled object; each number is another reference."""
    host = {f"host-{number}.example": ["read"]}
    return pickle.dumps(Credential(notebook.session.bind(hosts=host)))


def test_references_whose_tokens_have_ended_are_dropped(notebook: Bench, worker: Worker) -> None:
    """Kernels come and go, and a worker stays."""
    notebook.sign_in("read")
    used = worker.loads(pickled(notebook, -1))
    for number in range(MANY):
        assert worker.loads(pickled(notebook, number)).get_token("read").token
        notebook.clock.advance(5000)
    assert loaded(worker) <= workers.ROOM + 1
    # an object in use stays connected: a notebook's sign-out reaches it
    here = worker.bench.session.workers
    assert here is not None
    assert used.get_token("read").token
    here.forget(notebook.session.workers.id)  # type: ignore[union-attr]
    assert not used._bound._tokens.cache.tokens
    assert worker.loads(pickled(notebook, -1))._bound is used._bound


def test_tokens_are_kept_between_tasks(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    datas = [pickled(notebook, number) for number in range(MANY)]
    for _ in range(2):
        for data in datas:
            worker.loads(data).get_token("read")
    assert len(worker.channel.asked) == MANY
