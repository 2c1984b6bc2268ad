"""In a process that only runs tasks, nobody is asked, even if it has a terminal."""

from __future__ import annotations

import json
import multiprocessing.process
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbauth.core.person import IN_A_WORKER
from nbauth.jupyter.places import environment
from nbauth.jupyter.places.obstacles import in_process

TTY = SimpleNamespace(isatty=lambda: True)
FILE = SimpleNamespace(isatty=lambda: False)


def test_no_worker_asks_the_terminal(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    main, other = pty.openpty()
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.jupyter.places.workers", str(found)],
        stdin=other,
        stdout=subprocess.PIPE,
        stderr=other,
        env={**os.environ, "HOME": str(tmp_path), "NBAUTH_ATTENDED": "true"},
    )
    try:
        made.wait(60)
    finally:
        made.kill()
        made.wait()
        os.close(main)
        os.close(other)
    said: dict[str, list[str]] = json.loads(found.read_text("utf-8"))
    assert len(said) == 5
    for where, (code, what, hint) in said.items():
        assert what.endswith(IN_A_WORKER.what) or where == "dask, no client", where
        assert hint == f"→ {IN_A_WORKER.hint}", where
        assert code == "no_client_id" if where == "dask, no client" else "not_signed_in", where


def a_dask_worker(address: str, status: str = "running") -> Any:
    return SimpleNamespace(address=address, status=status, listener=object())


@pytest.mark.parametrize(
    ("workers", "clusters", "found"),
    [
        ([a_dask_worker("tls://10.0.0.1:1")], [], IN_A_WORKER),
        ([a_dask_worker("tcp://10.0.0.1:1", "closed")], [], None),
        ([a_dask_worker("inproc://1")], [], None),
        ([a_dask_worker("tcp://127.0.0.1:1")], ["a cluster of this process"], None),
        ([], [], None),
    ],
)
def test_a_cluster_of_the_user_leaves_their_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, workers: Any, clusters: Any, found: Any
) -> None:
    for module, name, those in (
        ("distributed.worker", "Worker", workers),
        ("distributed.deploy.spec", "SpecCluster", clusters),
    ):
        made = SimpleNamespace(**{name: SimpleNamespace(_instances=those)})
        monkeypatch.setitem(sys.modules, module, made)  # type: ignore[arg-type]
    assert in_process(TTY, TTY) is found


def test_a_program_that_multiprocessing_started_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Web servers that reload themselves run the program so, and leave the terminal to it."""
    monkeypatch.setattr(multiprocessing.process, "parent_process", object)
    assert in_process(TTY, TTY) is None
    assert in_process(FILE, TTY, True) is IN_A_WORKER
    monkeypatch.setattr(environment, "in_marimo", lambda: True)
    assert in_process(FILE, TTY, True) is not IN_A_WORKER
