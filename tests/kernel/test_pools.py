"""Worker processes of this machine ask the kernel for tokens, over its private pipe.

Each case runs in a process of its own, as in ``test_fork``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.test_fork import ran

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
POOLS = "tests.kernel.pools"


@pytest.mark.timing
def test_one_refresh_a_life_however_many_workers(tmp_path: Path) -> None:
    seen = ran("many_lives", tmp_path, POOLS)
    assert (seen["failed"], seen["reused"]) == ([], [])
    assert seen["tokens"] >= 3
    assert seen["a life"] < 1.4  # a token is renewed when a fifth of its life is left


def test_references_and_processes_older_than_the_sign_in(tmp_path: Path) -> None:
    """The first use fixes one account, for all processes and the notebook."""
    seen = ran("before_the_sign_in", tmp_path, POOLS)
    assert seen["nobody"] == ["not_signed_in"]
    assert seen["bob"] == seen["still"] == ["access-bob-2"]
    assert seen["out"] == ["not_signed_in"]


def test_children_grandchildren_and_what_comes_back(tmp_path: Path) -> None:
    seen = ran("families", tmp_path, POOLS)
    assert seen.pop("reused") == []
    for how in ("fork", "spawn", "forkserver"):
        assert seen.pop(f"{how} back") is True
        assert seen.pop(how) == ["access-ada-1"] * 2
    assert seen == {"manager": "access-ada-1"}


def test_a_child_does_not_wait_for_a_kernel_that_waits_for_it(tmp_path: Path) -> None:
    seen = ran("store", tmp_path, POOLS)
    assert isinstance(seen["child"], dict), seen
    assert seen["child"]["code"] == "forked_process"  # until the kernel has stored its grant
    assert seen["parent"] == "access-ada-2"


def test_what_hosts_require_is_got_by_the_kernel(tmp_path: Path) -> None:
    """A token after a 401 and after a claims challenge; more scopes need a person."""
    seen = ran("challenges", tmp_path, POOLS)
    for number, which in zip((1, 3, 5), ("older", "newer", "inherited"), strict=True):
        tokens = [f"access-ada-{number + more}" for more in range(3)]
        assert seen[which] == [*tokens, "consent_required"]
    assert [bool(claims) for claims in seen["claims"]] == [False, True] * 3
    assert seen["audience"] == ["access-ada-8"] * 3
    assert seen["reused"] == []


def test_accounts_of_one_name_and_a_session_at_rest(tmp_path: Path) -> None:
    both = ["access-ada-1", "access-ada-2"]
    assert ran("one_name", tmp_path, POOLS) == {
        "at first": [both, both], "again": [both, both], "notebook": both
    }  # fmt: skip


def test_interrupts_at_each_line(tmp_path: Path) -> None:
    seen = ran("interrupts", tmp_path, POOLS)
    assert seen["lines"] > 40
    assert (seen["failed"], seen["tokens in children"]) == ([], 0)


def test_errors_in_the_hooks_of_a_fork(tmp_path: Path) -> None:
    assert ran("broken_hooks", tmp_path, POOLS) == {
        "before": ["KernelGrant", "forked_process"], "in the child": ["KernelGrant", "access-ada-1"]
    }  # fmt: skip


def test_other_processes_of_this_user_do_not_ask(tmp_path: Path) -> None:
    """Also they inherit no socket."""
    assert ran("strangers", tmp_path, POOLS) == {
        "idle": True,  # before the first pickle
        "stranger": "not_signed_in",
        "connected": 1,
        "family": "access-ada-1",
        "inherited": False,
    }


def test_workers_get_tokens_of_accounts_that_they_were_sent(tmp_path: Path) -> None:
    assert ran("liars", tmp_path, POOLS) == {
        "spawned": ["not_signed_in"] * 3, "forked": ["access-bob-2"] * 2
    }  # fmt: skip


@pytest.mark.timing
def test_a_kernel_that_is_frozen_wakes_and_is_killed(tmp_path: Path) -> None:
    seen = ran("kernel_ends", tmp_path, POOLS)
    codes = {when: got for when, (got, _) in seen.items()}
    assert codes.pop("before") == codes.pop("awake") == "access-ada-1"
    assert codes == {"frozen": "kernel_silent", "killed": "kernel_gone", "dead": "kernel_gone"}
    assert 4 < seen["frozen"][1] < 5
    assert seen["killed"][1] < 2  # it waited for the gate before
    assert seen["dead"][1] < 0.5
