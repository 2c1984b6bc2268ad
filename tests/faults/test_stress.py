"""S19–S21: everything at once; each account gets its tokens, at its hosts, in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Figure
from tests.faults.sizes import size
from tests.harness.kernels import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_accounts_get_only_their_tokens_and_nothing_is_left(tmp_path: Path, figure: Figure) -> None:
    seconds = size(5, 300)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.stressing", str(seconds)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=seconds + 90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    print(done.stdout)
    assert figures["wrong"] == []
    assert figures["unexpected"] == []
    assert figures["reused"] == []
    assert not any(figures["left"].values()), figures["left"]
    assert figures["done"]["fork"] >= 1
    assert figures["checked"] > 10 * seconds
    figure(
        "S19–S21",
        "threads × clients × accounts of one user name",
        f"8 × 2 × 3, for {seconds} s; {figures['calls']:,} calls, {figures['refreshes']:,}"
        f" refreshes, {figures['done']['fork']} forks, {figures['interrupts']} interrupts",
        f"0 of {figures['checked']:,} tokens were another's, 0 refresh tokens came twice,"
        " 0 hangs, 0 threads, sockets, observers left",
    )
