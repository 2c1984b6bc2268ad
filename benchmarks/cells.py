"""P3: the time of IPython's callbacks before each cell."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.person import approving
from benchmarks.table import Row
from nbauth.demo.servers import Demo
from tests.harness.kernels import ROOT, Kernel

VARIABLES = 10
BEGIN = f"""
import json, sys; sys.path.insert(0, {str(ROOT)!r})
from IPython.core.interactiveshell import ExecutionInfo
from benchmarks.table import timed_by_turns
shell = get_ipython()
info = ExecutionInfo("pass", False, False, True, "a-cell")
def before_a_cell():
    shell.events.trigger("pre_run_cell", info)
def an_empty_cell():
    shell.run_cell("pass", store_history=False)
"""
LOOK = "print(json.dumps(timed_by_turns(before_a_cell, an_empty_cell)))"


def measure(demo: Demo) -> list[Row]:
    """In one kernel: nothing loaded, the extension loaded, signed in, with variables to look at."""
    with Kernel(env=demo.environment(), allow_stdin=True) as kernel, approving(demo):
        run(kernel, BEGIN)
        nothing, empty = looked(kernel)
        run(kernel, "%load_ext nbauth")
        loaded, _ = looked(kernel)
        run(kernel, "account = %login --flow device --quiet")
        signed_in, _ = looked(kernel)
        run(kernel, "\n".join(f"%token --into text{n} --str" for n in range(VARIABLES)))
        texts, _ = looked(kernel)
    peer, held = "an empty cell", "≤ 20 µs"
    what = "before each cell, beyond IPython's own:"
    return [
        Row("P3", f"{what} extension loaded", loaded - nothing, peer, empty, held),
        Row("P3", f"{what} signed in", signed_in - nothing, peer, empty, held),
        Row("P3", f"{what} {VARIABLES} `--str` variables", texts - nothing, peer, empty, held),
    ]


def looked(kernel: Kernel) -> list[float]:
    """Seconds of the callbacks before a cell, and of an empty cell."""
    seconds: list[float] = json.loads(run(kernel, LOOK).text.splitlines()[-1])
    return seconds


def run(kernel: Kernel, code: str) -> Any:
    """Run a cell; raises if it fails."""
    result = kernel.run(code, timeout=120)
    if result.status != "ok":
        raise RuntimeError(result.traceback or result.status)
    return result
