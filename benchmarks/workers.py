"""P10: tokens for 2,000 tasks of a Dask cluster, whose tokens live for 2 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tornado import gen

from benchmarks.on_cluster import DESIGNS, LIFE, MARGIN, TASKS
from benchmarks.person import approving
from benchmarks.table import Row
from nbauth.demo.servers import Demo, start
from nbauth.demo.token_endpoint import TokenEndpoint
from tests.harness.kernels import ROOT

ANSWER = 0.15
"""Seconds until the provider answers."""
MISS = 0.002
"""Seconds. A call that waits for a token takes longer."""
PEERS = {
    "push": "`client.run(set_token)` on a timer",
    "variable": "a `Variable`, set on a timer and read when the token is due",
}


def measure() -> list[Row]:
    """Each design in a cluster of its own, one after the other."""
    with start(access_ttl=int(LIFE)) as demo, delayed() as asked, approving(demo):
        return rows({design: Ran(one(demo, design), asked) for design in DESIGNS})


@contextmanager
def delayed() -> Iterator[list[float]]:
    """Let the provider answer late. Yields the times of the requests for tokens."""
    at_once, asked = TokenEndpoint.post, list[float]()

    async def post(self: TokenEndpoint, tenant: str) -> None:
        asked.append(time.time())
        await gen.sleep(ANSWER)
        at_once(self, tenant)

    with mock.patch.object(TokenEndpoint, "post", post):
        yield asked


def one(demo: Demo, design: str) -> dict[str, Any]:
    """What a design's process has measured."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.on_cluster", design],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(demo.folder), **demo.environment()},
        input=demo.as_json() + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{design} ended with {done.returncode}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


class Ran:
    """The figures of one design.

    Attributes:
        per_life: requests for tokens, for each time that a token is usable.
        misses: calls after a worker's first one that took longer than :data:`MISS`.
        workers: how many they were.
        idle: requests for tokens while there was no task.
        call: the median of the calls of tasks that are no misses, in seconds.
        slow: the 99th percentile of the calls of tasks, without the first of each worker.
        warm: the median and 99th percentile of repeated calls in one task.
    """

    def __init__(self, measured: dict[str, Any], asked: list[float]) -> None:
        began, ended = measured["began"], measured["ended"]
        refreshes = len([at for at in asked if began <= at <= ended])
        self.per_life = refreshes * (LIFE - MARGIN) / (ended - began)
        first, last = measured["idle"]
        self.idle = len([at for at in asked if first <= at <= last])
        by_worker: dict[int, list[float]] = defaultdict(list)
        for process, _, took in sorted(measured["calls"], key=lambda call: float(call[1])):
            by_worker[process].append(took)
        self.workers = len(by_worker)
        later = sorted(took for calls in by_worker.values() for took in calls[1:])
        self.misses = len([took for took in later if took > MISS])
        self.call, self.slow = later[len(later) // 2], later[len(later) * 99 // 100]
        self.warm: dict[str, tuple[float, float]] = measured["warm"]


def rows(ran: dict[str, Ran]) -> list[Row]:
    """The figures of nbauth against those of the other designs."""
    ours = ran["nbauth"]
    found: list[Row] = []
    for design, said in PEERS.items():
        peer = ran[design]
        found += [
            Row("P10", f"requests for tokens for each usable life, {TASKS:,} tasks", ours.per_life,
                said, peer.per_life, "≤ 1.3", number),
            Row("P10", "calls > 2 ms for each worker after its first call",
                ours.misses / ours.workers, said, peer.misses / peer.workers, "0", number),
            Row("P10", "requests for tokens in 6 s without a task", ours.idle, said, peer.idle, "0",
                number),
            Row("P10", "the first call of a task, median", ours.call, said, peer.call, "–"),
            Row("P10", "the same, 99th percentile", ours.slow, said, peer.slow, "–"),
        ]  # fmt: skip
    bare = ours.warm["bare"][0]
    provider, slow = ours.warm["provider"]
    credential, slow_credential = ours.warm["credential"]
    auth = ours.warm["auth"][0] - bare
    text, theirs = "reading the pushed text", ran["push"].warm["provider"]
    return [
        *found,
        Row("P10", "`token_provider()()` in a worker, median", provider, text, theirs[0], "≤ 5 µs"),
        Row("P10", "the same, 99th percentile", slow, text, theirs[1], "–"),
        Row("P10", "`credential.get_token`, median", credential, text, theirs[0], "≤ 5 µs"),
        Row("P10", "the same, 99th percentile", slow_credential, text, theirs[1], "–"),
        Row(
            "P10",
            "`auth(request)`, beyond preparing it, median",
            auth,
            "preparing it",
            bare,
            "≤ 30 µs",
        ),
    ]


def number(amount: float) -> str:
    """A count."""
    return f"{amount:.3g}"
