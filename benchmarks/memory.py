"""P11: the additional private memory of a kernel (``smaps_rollup``; Linux)."""

from __future__ import annotations

from statistics import median

from benchmarks.cells import run
from benchmarks.person import approving
from benchmarks.table import Row, size
from nbauth.demo.servers import Demo
from tests.harness.kernels import Kernel

KERNELS = 5
BEGIN = """
import gc
from pathlib import Path
def own():
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024
"""
AZURE = """
from azure.identity import DeviceCodeCredential
credential = DeviceCodeCredential()
"""


def measure(demo: Demo) -> list[Row]:
    """The median of fresh kernels. The panel is made; no browser shows it."""
    with approving(demo):
        ours = [grown(demo, "%load_ext nbauth", "account = %login --flow device")
                for _ in range(KERNELS)]  # fmt: skip
        theirs = [grown(demo, AZURE) for _ in range(KERNELS)]
    idle, signed_in = (median(one) for one in zip(*ours, strict=True))
    (azure,) = (median(one) for one in zip(*theirs, strict=True))
    peer = "`import azure.identity`, a credential"
    with_panel = "signed in by device code, with panel"
    return [
        Row("P11", "memory that `%load_ext nbauth` adds", idle, peer, azure, "≤ 2 MB", size),
        Row("P11", f"memory added when {with_panel}", signed_in, peer, azure, "≤ 20 MB", size),
    ]


def grown(demo: Demo, *cells: str) -> list[float]:
    """The growth of a fresh kernel's memory in bytes, after each of the cells."""
    with Kernel(env=demo.environment(), allow_stdin=True) as kernel:
        run(kernel, BEGIN)
        run(kernel, "print(own())")  # the first measurement and the first print load modules too
        start = float(run(kernel, "print(own())").text)
        seen = []
        for cell in cells:
            run(kernel, cell)
            seen.append(float(run(kernel, "print(own())").text) - start)
        return seen
