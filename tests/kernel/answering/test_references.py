"""Which pickled objects have one name in the kernel, and that the names do not pile up."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbauth.adapters.azure_core import Credential
from nbauth.adapters.dask.on_scheduler import OnScheduler
from nbauth.core.errors import NotSignedIn
from nbauth.kernel.answering import references
from nbauth.kernel.asking.reference import Reference
from nbauth.kernel.bound import Bound
from tests.kernel.conftest import Bench
from tests.kernel.worker_bench import Worker, loading_in, session_that_loads


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def name_of(bound: Bound) -> str:
    known = bound._tokens.references
    assert known is not None
    return known.to(bound).reference.name


def number_of_names(bench: Bench) -> int:
    workers = bench.session.workers
    assert workers is not None
    return len(workers.references._named)


def test_equal_objects_have_one_name_and_equal_bytes(notebook: Bench) -> None:
    account = notebook.sign_in("read")
    asked = (None, account, account.key, account.username, account.home_account_id)
    made = [notebook.session.bind(one) for one in asked for _ in range(3)]
    assert len({name_of(bound) for bound in made}) == 1
    assert len({pickle.dumps(bound) for bound in made}) == 1
    hosts = {"b.example": ["read"], "a.example": ["read"]}
    notebook.session.configure(hosts=hosts)
    one = name_of(notebook.session.bind())
    notebook.session.configure(hosts=dict(reversed(hosts.items())))
    assert name_of(notebook.session.bind()) == one
    assert number_of_names(notebook) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"scopes": ["write"]},
        {"hosts": {"api.example": ["read"]}},
        {"extra_parameters": {"audience": "x"}},
        {"proxies": {"https": "http://ada:pw@proxy"}},
        {"client_id": "others"},
        {"persist": "file"},
    ],
    ids=str,
)
def test_objects_with_other_settings_have_other_names(
    notebook: Bench, other: dict[str, Any]
) -> None:
    notebook.sign_in("read")
    one, two = notebook.session.bind(), notebook.session.bind(**other)
    assert name_of(one) != name_of(two)
    assert name_of(one) == name_of(notebook.session.bind())
    assert pickle.dumps(one) != pickle.dumps(two)


def test_the_account_and_who_may_be_asked_are_in_the_name(notebook: Bench) -> None:
    ada, bob = (notebook.sign_in("read", user=user, force=True) for user in ("ada", "bob"))
    made = [
        notebook.session.bind(account, interactive=interactive)
        for account in (ada, bob)
        for interactive in (True, False)
    ]
    assert len({name_of(bound) for bound in made}) == 4


def test_the_audience_is_in_the_repr_that_file_systems_compare(notebook: Bench) -> None:
    notebook.sign_in("read")
    extra = [{"audience": "one"}, {"audience": "two"}, {}]
    made = [Credential(notebook.session.bind(extra_parameters=more)) for more in extra]
    assert len({repr(one) for one in made}) == 3


def test_the_repr_is_the_same_on_a_worker(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    made = Credential(notebook.session.bind(extra_parameters={"audience": "one", "ui": "x"}))
    assert repr(worker.load(made)) == repr(made)


def test_pickling_often_adds_no_names(notebook: Bench) -> None:
    account = notebook.sign_in("read")
    for _ in range(300):
        pickle.dumps(notebook.session.bind())
    free = notebook.session.bind(client_id="others")
    for _ in range(300):
        pickle.dumps(free)
    notebook.session.logout()
    for _ in range(300):  # the account is not signed in, but is known
        pickle.dumps(notebook.session.bind(account))
    assert number_of_names(notebook) == 3


def test_objects_without_an_account_are_forgotten_at_last(
    notebook: Bench, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MOST", 10)
    first = Credential(notebook.session.bind("ada@example.com"))
    data = pickle.dumps(first)
    settled = Credential(notebook.session.bind())
    known = pickle.dumps(settled)
    notebook.sign_in("read")
    settled.get_token("read")
    for _ in range(50):
        pickle.dumps(notebook.session.bind(client_id="others"))
    assert number_of_names(notebook) <= 12
    assert worker.loads(known).get_token("read").token == notebook.read("read")
    with pytest.raises(NotSignedIn, match="does not know this object"):
        worker.loads(data).get_token("read")
    for _ in range(20):  # one object is one name, however often it is pickled
        data = pickle.dumps(first)
    assert worker.loads(data).get_token("read").token == notebook.read("read")


def test_an_object_comes_home_as_it_was(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    for interactive in (True, False):
        made = notebook.session.bind(interactive=interactive)
        data = pickle.dumps(made)
        there = worker.loads(data)
        with loading_in(notebook):
            home = pickle.loads(pickle.dumps(there))
            assert pickle.loads(data) is home
        assert home.is_like(made)
        assert home.interactive == interactive


@pytest.mark.parametrize("after", ["at once", "after a token"])
def test_a_worker_sends_on_what_it_got(notebook: Bench, worker: Worker, after: str) -> None:
    """Another worker is a machine with its own network, and Dask compares the bytes."""
    notebook.session.configure(proxies={"https": "http://home"}, persist="file")
    made = Credential(notebook.session.bind("ada@example.com"))
    notebook.sign_in("read")
    data = pickle.dumps(made)
    worker.bench.session.configure(proxies={"https": "http://own"}, verify=True)
    there = worker.loads(data)
    assert there._bound.client.settings.proxies == {"https": "http://own"}
    if after == "after a token":
        there.get_token("read")
    assert pickle.dumps(there) == data
    second = Worker(notebook)
    loaded = second.load(there)
    assert loaded._bound.client.settings.proxies == {"https": "http://home"}
    assert loaded.get_token("read").token == notebook.read("read")
    second.bench.session.rest()


@pytest.mark.parametrize("signed_in", [True, False])
def test_an_object_passes_through_a_process_that_cannot_ask(
    notebook: Bench, worker: Worker, monkeypatch: pytest.MonkeyPatch, signed_in: bool
) -> None:
    """Dask's scheduler loads what it sends to a worker, and pickles it again."""
    monkeypatch.setattr(Reference, "of_this_family", False)
    if signed_in:
        notebook.sign_in("read")
    made = Credential(notebook.session.bind())
    data = pickle.dumps(made)
    scheduler = Bench(notebook.clock)
    scheduler.session.be_found_by(session_that_loads)
    with loading_in(scheduler):
        there = pickle.loads(data)
    assert pickle.dumps(there) == data
    assert there._bound.names == made._bound.names
    if not signed_in:
        notebook.sign_in("read")
    assert worker.load(there).get_token("read").token == notebook.read("read")
    # once the process has an account of its own for it, it is the one to ask
    scheduler.sign_in("read")
    assert pickle.dumps(there) != data
    assert there._bound.names != made._bound.names
    # unless a scheduler in the process has tasks of the notebook
    assert scheduler.session.workers is not None
    plugin = OnScheduler()
    plugin.sessions = {there._bound._origin.reference.session: None}
    scheduler.session.workers.references.passes.add(plugin)
    assert pickle.dumps(there) == data
    plugin.sessions = {}
    assert pickle.dumps(there) != data
    scheduler.session.rest()


def test_a_forked_process_gives_no_name_another_meaning(notebook: Bench) -> None:
    """It has a copy of the names, and adds to it."""
    notebook.sign_in("read")
    workers = notebook.session.workers
    assert workers is not None
    here = workers.references
    there = references.References(here.find_session, here._pipe)
    there._key, there.session = here._key, here.session  # as a fork copies them
    makes: list[Callable[[], Bound]] = [
        lambda: notebook.session.bind(scopes=["one"]),
        lambda: notebook.session.bind(scopes=["two"]),
    ]
    names = {here.to(make()).reference.name for make in makes}
    assert [there.to(make()).reference.name in names for make in reversed(makes)] == [True] * 2
    for name in names:
        one, two = here.find(name), there.find(name)
        assert one is not None
        assert two is not None
        assert one.is_like(two)
