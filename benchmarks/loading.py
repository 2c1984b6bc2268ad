"""P2: the time to load nbauth and its peers, each in a kernel of its own."""

from __future__ import annotations

from statistics import median

from benchmarks.table import Row
from tests.harness.kernels import Kernel

KERNELS = 7
EXTENSION, PACKAGE = "get_ipython().extension_manager.load_extension('nbauth')", "import nbauth"
PEERS = {
    "import msal": "`import msal`",
    "import azure.identity": "`import azure.identity`",
    "import ipywidgets, anywidget": "`import ipywidgets, anywidget`",
}


def measure() -> list[Row]:
    """The median of fresh kernels; the files are in the system's cache by then."""
    codes = (EXTENSION, PACKAGE, *PEERS)
    turns = [[one(code) for code in codes] for _ in range(KERNELS + 1)][1:]
    took = {
        code: median(times) for code, times in zip(codes, zip(*turns, strict=True), strict=True)
    }
    msal, azure, widgets = PEERS
    load, package = "`%load_ext nbauth`", "`import nbauth`"
    return [
        Row("P2", load, took[EXTENSION], PEERS[msal], took[msal], "≤ 0.2, 10 ms"),
        Row("P2", load, took[EXTENSION], PEERS[azure], took[azure], "–"),
        Row("P2", load, took[EXTENSION], PEERS[widgets], took[widgets], "–"),
        Row("P2", package, took[PACKAGE], PEERS[msal], took[msal], "≤ 1 ms"),
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
