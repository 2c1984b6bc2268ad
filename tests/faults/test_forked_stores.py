"""S10: a forked child uses kept sign-ins as any process does, whenever its parent forked."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nbauth.core import loading as forks
from tests.faults.conftest import Figure
from tests.faults.forking import PATIENCE, forked
from tests.harness.kernels import isolated_environment
from tests.harness.secret_service import running_secret_service

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
KINDS = ["file", "keyring"]
SOON = PATIENCE * 0.8


@pytest.fixture(scope="module")
def environments(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Mapping[str, str]]]:
    with running_secret_service() as service:
        home = tmp_path_factory.mktemp("home")
        yield {"keyring": service.environment, "file": isolated_environment(home)}


Environments = dict[str, Mapping[str, str]]


@pytest.mark.parametrize("kind", KINDS)
def test_while_another_thread_refreshes(
    kind: str, environments: Environments, tmp_path: Path, figure: Figure
) -> None:
    told = forked("another_thread_refreshes", kind, tmp_path, environments[kind])
    assert told["out"] == ["busy", "busy"], "each waited for the parent, and used all else"
    assert told["waited"] < SOON, "children that live on keep nobody out"
    figure("S10", "fork while refreshing", "child lives on", "kept out, and keeps nobody out")


@pytest.mark.parametrize("kind", KINDS)
def test_within_the_refresh_itself(kind: str, environments: Environments, tmp_path: Path) -> None:
    told = forked("the_same_thread_refreshes", kind, tmp_path, environments[kind])
    assert told["left"] == "left"
    assert told["out"] == "busy", "the parent was in still"
    assert told["waited"] < SOON


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_does_not_hold_for_a_parent_that_is_killed(
    kind: str, environments: Environments, tmp_path: Path
) -> None:
    assert forked("the_holder_is_killed", kind, tmp_path, environments[kind])["waited"] < SOON


def test_while_a_person_is_asked(environments: Environments, tmp_path: Path) -> None:
    told = forked("another_thread_is_asked", "file", tmp_path, environments["file"])
    for found, waited in told["answers"]:
        assert found in {"data", "the child's"}
        assert waited < SOON


@pytest.mark.parametrize("kind", KINDS)
def test_while_another_thread_opens(
    kind: str, environments: Environments, tmp_path: Path, figure: Figure
) -> None:
    told = forked("another_thread_opens", kind, tmp_path, environments[kind])
    assert told["answers"] == [["", True]] * len(told["answers"])
    figure("S10", "fork while opening", f"{len(told['answers'])} moments", "each child opens")


def test_no_socket_of_the_parents_is_used(environments: Environments, tmp_path: Path) -> None:
    told = forked("sockets_are_closed", "keyring", tmp_path, environments["keyring"])
    assert told["answer"] == ["data", True, True, True]


def test_a_library_that_does_not_survive_a_fork(environments: Environments, tmp_path: Path) -> None:
    told = forked("its_library_does_not_survive", "keyring", tmp_path, environments["keyring"])
    assert told["answer"] == ["data", True]


@pytest.mark.parametrize("kind", KINDS)
def test_by_multiprocessing(kind: str, environments: Environments, tmp_path: Path) -> None:
    told = forked("by_multiprocessing", kind, tmp_path, environments[kind])
    assert told["answers"] == [True] * 6


# ── what a fork waits for ───────────────────────────────────────────────────────────────────


def test_a_fork_waits_for_a_library_that_another_thread_loads() -> None:
    there = threading.Event()

    def loads() -> None:
        with forks.loading():
            there.set()
            time.sleep(0.2)

    thread = threading.Thread(target=loads)
    thread.start()
    assert there.wait(5)
    began = time.monotonic()
    forks._wait_for_other_threads()
    assert time.monotonic() - began > 0.1
    assert not forks._loading
    with forks.loading():
        began = time.monotonic()
        forks._wait_for_other_threads()
        assert time.monotonic() - began < 0.1, "its own thread does not wait for itself"
    thread.join()


def test_a_fork_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_PATIENCE", 0.1)
    monkeypatch.setitem(forks._loading, object(), -1)
    began = time.monotonic()
    forks._wait_for_other_threads()
    assert 0.1 <= time.monotonic() - began < 2
