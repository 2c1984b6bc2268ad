"""P3: the time of IPython's callbacks before each cell, and of the output guard."""

from __future__ import annotations

import json
import time
from statistics import median
from typing import Any

from benchmarks.person import approving
from benchmarks.table import Row
from nbauth.demo.servers import Demo
from tests.harness.kernels import ROOT, Kernel

VARIABLES = 10
TOKENS = 20
TURNS = 21
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
MORE_TOKENS = f"""
import base64, os
from nbauth.api import the_session
known = the_session().issued
known.texts = {{}}
for number in range({TOKENS}):
    body = base64.urlsafe_b64encode(os.urandom(1125)).decode()
    known.add("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + body)
"""
PRINTED = {
    "in lines of 100 bytes": "line = 'x' * 99\nfor _ in range(100_000): print(line)",
    "in lines of 10 kB": "line = 'x' * 9_999\nfor _ in range(1_000): print(line)",
}
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
        run(kernel, MORE_TOKENS)
        printed = [guarded(kernel, how, code) for how, code in PRINTED.items()]
    peer, held = "an empty cell", "≤ 20 µs"
    what = "before each cell, beyond IPython's own:"
    return [
        Row("P3", f"{what} extension loaded", loaded - nothing, peer, empty, held),
        Row("P3", f"{what} signed in", signed_in - nothing, peer, empty, held),
        Row("P3", f"{what} {VARIABLES} `--str` variables", texts - nothing, peer, empty, held),
        *printed,
    ]


def guarded(kernel: Kernel, how: str, code: str) -> Row:
    """A cell that prints 10 MB, by turns with the extension and without it."""
    seconds: dict[str, list[float]] = {"%load_ext": [], "%unload_ext": []}
    for turn in range(TURNS + 1):
        for change, measured in seconds.items():
            run(kernel, f"{change} nbauth\nprint()")  # the first output prepares the search
            began = time.perf_counter()
            run(kernel, code)
            if turn:
                measured.append(time.perf_counter() - began)
    run(kernel, "%load_ext nbauth")
    ours, theirs = (median(measured) for measured in seconds.values())
    what = f"a cell that prints 10 MB {how}, output guarded for {TOKENS} tokens"
    return Row("P3", what, ours, "the same cell unguarded", theirs, "≤ 1.05")


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
