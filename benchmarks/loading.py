"""P2: what a notebook waits for before anybody signs in, each in a kernel of its own."""

from __future__ import annotations

from statistics import median

from benchmarks.table import Row
from tests.harness.kernels import Kernel

KERNELS = 5
EXTENSION, PACKAGE = "get_ipython().extension_manager.load_extension('nbauth')", "import nbauth"
PEERS = {
    "import msal": "`import msal`",
    "import azure.identity": "`import azure.identity`",
    "import ipywidgets, anywidget": "`import ipywidgets, anywidget`",
}


def measure() -> list[Row]:
    """The median of fresh kernels; the files are in the system's cache by then."""
    took = {
        code: median([one(code) for _ in range(KERNELS + 1)][1:])
        for code in (EXTENSION, PACKAGE, *PEERS)
    }
    held = {EXTENSION: "≤ 10 ms", PACKAGE: "≤ 5 ms"}
    names = {EXTENSION: "`%load_ext nbauth`", PACKAGE: "`import nbauth`"}
    pairs = [(EXTENSION, peer) for peer in PEERS] + [(PACKAGE, "import msal")]
    return [
        Row("P2", names[ours], took[ours], PEERS[peer], took[peer], held[ours])
        for ours, peer in pairs
    ]


def one(code: str) -> float:
    """Seconds that the code takes in a kernel that has just started."""
    with Kernel() as kernel:
        cell = (
            f"import time; began = time.perf_counter(); {code}\nprint(time.perf_counter() - began)"
        )
        result = kernel.run(cell)
    if result.status != "ok":
        raise RuntimeError(result.traceback)
    return float(result.text)
