"""A pickled credential in worker processes: spawned, forked and those of joblib."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbauth.demo.servers import Demo, start
from tests.harness.kernels import ROOT


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with start() as running:
        yield running


def report(demo: Demo, home: Path, persist: str) -> dict[str, dict[str, list[str]]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.pickled", persist, demo.user, demo.password],
        cwd=ROOT,
        env={
            **demo.environment(),  # sets NBAUTH_PERSIST=memory
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "NBAUTH_PASSPHRASE": "correct horse",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    made: dict[str, dict[str, list[str]]] = json.loads(done.stdout.splitlines()[-1])
    return made


def test_a_stored_sign_in_serves_every_worker(demo: Demo, tmp_path: Path) -> None:
    """Also if only the sign-in named the store, and if the worker's settings name no client."""
    got = report(demo, tmp_path, "file")
    assert got["own"] == {how: ["token"] for how in ("spawn", "forkserver", "fork", "loky")}
    assert got["other settings"] == {"spawn": ["token"]}


def test_a_sign_in_in_memory_serves_every_worker(demo: Demo, tmp_path: Path) -> None:
    """Workers ask the notebook's kernel, also if their own settings are invalid."""
    got = report(demo, tmp_path, "memory")
    assert got["own"] == {how: ["token"] for how in ("spawn", "fork", "loky")}
    assert got["other settings"] == {"spawn": ["token"]}
