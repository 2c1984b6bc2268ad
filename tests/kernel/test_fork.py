"""After a fork the child starts clean; only the kernel's own process renews its tokens.

On Linux, multiprocessing forks by default up to Python 3.13. Each case runs in a process of its
own, since a test process has threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
ROOT = Path(__file__).parents[2]


def ran(case: str, home: Path, program: str = "tests.kernel.forking") -> Any:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "NBAUTH_PASSPHRASE": "a long passphrase of the tests",
    }
    done = subprocess.run(
        [sys.executable, "-m", program, case],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_fresh_token_serves_the_child(tmp_path: Path) -> None:
    assert ran("fresh", tmp_path) == {"child": ["access-ada-1"] * 2, "parent": "access-ada-1"}


def test_a_credential_in_a_pool_of_processes(tmp_path: Path) -> None:
    seen = ran("credential", tmp_path)
    assert seen == {
        "child": ["access-ada-1"] * 2, "old": "access-ada-2", "parent": "access-ada-2"
    }  # fmt: skip


@pytest.mark.parametrize("case", ["stale", "during_refresh"])
def test_the_child_does_not_use_the_parents_refresh_token(case: str, tmp_path: Path) -> None:
    seen = ran(case, tmp_path)
    assert seen["child"] == seen["parent"] == "access-ada-2"  # the child asks the parent
    assert seen["reused"] == []


def test_a_question_for_a_password_is_answered_in_the_parent_only(tmp_path: Path) -> None:
    seen = ran("during_a_question", tmp_path)
    assert seen["child"]["code"] == "not_waiting"
    assert seen["parent"] == "ada@example.com"


def test_a_sign_in_in_progress_continues_in_the_parent(tmp_path: Path) -> None:
    seen = ran("during_sign_in", tmp_path)
    assert seen["child"]["state"] == "cancelled"
    assert "in the parent process" in seen["child"]["said"]
    assert seen["child"]["asked"] == "not_signed_in"
    assert seen["child"]["pending"] == []
    assert seen["parent"] == "ada@example.com"


def test_no_lock_of_the_parents_is_inherited(tmp_path: Path) -> None:
    assert ran("with_locks_held", tmp_path) == {"child": [], "parent": 1}


def test_a_child_does_not_keep_the_redirect_port_open(tmp_path: Path) -> None:
    assert ran("listening", tmp_path) == {"taken": False}


@pytest.mark.parametrize(
    ("case", "child"),
    [
        ("during_the_first_use", "Session"),
        ("while_a_library_loads", "ada@example.com"),
        ("while_azure_core_loads", "access-ada-1"),
        ("at_the_childs_end", None),
    ],
)
def test_a_fork_in_the_middle_of_another_threads_first_steps(
    case: str, child: object, tmp_path: Path
) -> None:
    """The child waited for a lock (also an import lock) of a thread that it does not have."""
    assert ran(case, tmp_path) == {"child": child}


def test_a_stored_grant_is_renewed_by_parent_or_child(tmp_path: Path) -> None:
    seen = ran("kept", tmp_path)
    assert seen["child"] == "access-ada-2"
    assert seen["parent"] == "access-ada-2"
    assert seen["refreshes"] == 0, "the parent used the child's result"


def test_a_child_has_no_threads_and_no_observers(tmp_path: Path) -> None:
    assert ran("threads_and_observers", tmp_path)["child"] == {"threads": [], "seen": 0}


def test_a_pool_of_forked_workers_reads_the_token(tmp_path: Path) -> None:
    assert ran("pool", tmp_path) == {"children": ["access-ada-1"]}


def test_a_child_that_creates_the_session_asks_nobody(tmp_path: Path) -> None:
    assert ran("before_a_session", tmp_path) == {"child": False, "parent": True}


@pytest.mark.parametrize("case", ["spawn", "forkserver"])
def test_a_process_that_inherits_nothing_says_so(case: str, tmp_path: Path) -> None:
    assert ran(case, tmp_path) == {"children": ["not_signed_in"] * 2}
