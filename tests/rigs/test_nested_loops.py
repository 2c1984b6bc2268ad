"""Why nest_asyncio2 is the dependency: nest_asyncio 1.6 loses cells in ipykernel 7.1 and later.

ipykernel 7 runs every message in one shared ``contextvars.Context``. A nested event loop that picks
up the next message can't enter that context again; 1.6 lets the error drop the message, so a queued
cell stays at ``[*]`` for ever. nest_asyncio2 (1.7.3 and later) puts such messages off to the end of
the nested loop.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.kernels import Kernel

LISTEN = """
import comm, ipykernel
received = []
def listen(channel, message):
    channel.on_msg(lambda message: received.append(message["content"]["data"]["n"]))
comm.get_comm_manager().register_target("listener", listen)
print(ipykernel.__version__)
"""
NEST = """
import asyncio, {library}
{library}.apply()
asyncio.get_event_loop().run_until_complete(asyncio.sleep(0.8))
"""
QUEUED = 3


@contextmanager
def listening_kernel() -> Iterator[Kernel]:
    with Kernel("7.4", libraries=("nest_asyncio-1.6",)) as kernel:
        assert kernel.run(LISTEN).text.startswith("7.4")
        kernel.send_comm("comm_open", "front-end", target="listener")
        yield kernel


def cells_lost_under_a_nested_loop(kernel: Kernel, library: str) -> int:
    """How many of the nesting cell and those queued behind it are never answered."""
    cells = [kernel.send(NEST.format(library=library))]
    time.sleep(0.2)
    for n in range(QUEUED):
        kernel.send_comm("comm_msg", "front-end", {"n": n})
        cells.append(kernel.send(f"{n}"))
    results = kernel.wait(*cells, timeout=3).values()
    return sum(cell.status == "unanswered" for cell in results)


@pytest.mark.parametrize("attempt", range(3))
def test_nest_asyncio_1_6_loses_cells(attempt: int) -> None:
    with listening_kernel() as kernel:
        assert cells_lost_under_a_nested_loop(kernel, "nest_asyncio") > 0


def test_nest_asyncio2_loses_none() -> None:
    with listening_kernel() as kernel:
        for _ in range(3):
            assert cells_lost_under_a_nested_loop(kernel, "nest_asyncio2") == 0
        assert kernel.run("received").result == str([*range(QUEUED)] * 3)
