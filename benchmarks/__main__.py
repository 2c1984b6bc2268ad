"""Run the benchmarks, print their table and write it to ``test-results/bench.md``."""

from __future__ import annotations

import compileall
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version

from benchmarks import (
    approval,
    authorised,
    cached,
    cells,
    graph,
    loading,
    memory,
    panel,
    persisted,
    workers,
)
from benchmarks.table import Row, table
from nbauth.demo.servers import start
from tests.harness.kernels import ROOT

RESULTS = ROOT / "test-results" / "bench.md"
PEERS = (
    "msal", "msal-extensions", "azure-identity", "ipykernel", "jupyterlab", "requests", "O365",
    "pandas", "distributed",
)  # fmt: skip


def main(wanted: list[str]) -> None:
    """All of them, or those named: ``python -m benchmarks P1 P4``."""
    for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # MSAL would prefer it to its verify=
        os.environ.pop(bundle, None)
    compileall.compile_dir(ROOT / "nbauth", quiet=2)  # as pip has done with the peers
    with start() as demo:
        benchmarks: dict[str, Callable[[], list[Row]]] = {
            "P1": lambda: cached.measure(demo),
            "P2": loading.measure,
            "P3": lambda: cells.measure(demo),
            "P4": lambda: approval.measure(demo),
            "P5": lambda: panel.measure(demo),
            "P6": persisted.measure,
            "P7": lambda: graph.measure_lists(demo),
            "P8": lambda: graph.measure_by_id(demo),
            "P9": lambda: authorised.measure(demo),
            "P10": workers.measure,
            "P11": lambda: memory.measure(demo),
        }
        rows: list[Row] = []
        for name in wanted or benchmarks:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows += benchmarks[name]()
    peers = ", ".join(f"{name} {version(name)}" for name in PEERS)
    peers += f", msgraph-sdk {graph.sdk_version()}"
    machine = f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"
    text = f"{table(rows)}\n\nMedians of one run; {peers}; {machine}.\n"
    print(text)
    if not wanted:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
