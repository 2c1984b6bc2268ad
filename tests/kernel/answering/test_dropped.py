"""A worker that is told to drop its tokens while answers are on their way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbauth.adapters.azure_core import Credential
from nbauth.core.errors import NotSignedIn
from tests.kernel.answering.test_answering import credential, token
from tests.kernel.conftest import Bench
from tests.kernel.worker_bench import Direct, Worker

Answer = Mapping[str, Any]


def dropping(notebook: Bench, worker: Worker, *before: Callable[[], object]) -> None:
    """At the next answer: the notebook does this, and the worker drops its tokens."""

    def change(answer: Answer) -> Answer:
        worker.channel.change = lambda later: later
        for call in before:
            call()
        assert notebook.session.workers is not None
        assert worker.bench.session.workers is not None
        worker.bench.session.workers.loaded.forget(notebook.session.workers.id)
        return answer

    worker.channel.change = change


def held(worker: Worker) -> int:
    """The number of tokens that the worker holds."""
    workers = worker.bench.session.workers
    assert workers is not None
    return sum(len(list(one.session.cache.tokens)) for one in workers.loaded._all())


def test_the_first_answer(notebook: Bench, worker: Worker) -> None:
    account = notebook.sign_in("read")
    there = worker.load(credential(notebook))
    dropping(notebook, worker, lambda: notebook.session.logout(account))
    with pytest.raises(NotSignedIn, match="signed out"):
        token(there)
    assert held(worker) == 0


@pytest.mark.parametrize("used", [False, True])
def test_the_answer_for_another_account(notebook: Bench, worker: Worker, used: bool) -> None:
    """All tokens of the session are dropped; the account that stays signed in gets a new one."""
    ada = notebook.sign_in("read", user="ada")
    bob = notebook.sign_in("read", user="bob", force=True)
    there = worker.load(credential(notebook, bob))
    if used:
        token(there)
        notebook.clock.advance(3600)
    dropping(notebook, worker, lambda: notebook.session.logout(ada))
    assert token(there) == notebook.read("read", account=bob)
    assert held(worker) == 1


def test_another_channel(notebook: Bench, worker: Worker) -> None:
    """Who answers now does not know of the tokens that came another way."""
    notebook.sign_in("read")
    there: Credential = worker.load(credential(notebook))
    before = token(there)
    here = worker.bench.session.workers
    assert here is not None
    assert notebook.session.workers is not None
    here.loaded.channel = other = Direct(notebook.session.workers)
    assert held(worker) == 0
    assert token(there) == before
    assert len(other.asked) == 1
