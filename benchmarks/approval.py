"""P4: time from the person's approval until the cell continues, without the token request."""

from __future__ import annotations

import json
from statistics import median

from benchmarks.table import Row
from nbauth.demo.servers import Demo
from tests.harness.jupyter import Lab
from tests.harness.kernels import ROOT
from tests.harness.served_kernel import ServedKernel

ROUNDS = {"nbauth('browser')": 15, "msal_browser()": 15, "nbauth('callback')": 5,
          "nbauth('device')": 7, "msal_device()": 7}  # fmt: skip


def measure(demo: Demo) -> list[Row]:
    """Sign in by turns in one kernel of a real Jupyter server."""
    with Lab(server_extensions=("nbauth.server",)) as lab:
        ident = lab.api("api/kernels", "POST")["id"]
        kernel = ServedKernel(lab.home / "jupyter-runtime" / f"kernel-{ident}.json", ident)
        facts = demo.as_json()
        begun = kernel.run(
            f"import sys, json; sys.path.insert(0, {str(ROOT)!r})\n"
            "%load_ext nbauth\n"
            "from benchmarks.in_kernel import Rounds, public_address\n"
            f"public_address({lab.url!r} + '/')\n"
            f"rounds = Rounds(json.loads({facts!r}), {lab.token!r})"
        )
        if begun.status != "ok":
            raise RuntimeError(begun.traceback)
        took: dict[str, list[float]] = {what: [] for what in ROUNDS}
        for number in range(max(ROUNDS.values()) + 1):
            for what, many in ROUNDS.items():
                if number <= many:
                    seconds = one(kernel, what)
                    if number:  # the first loads modules and asks for metadata
                        took[what].append(seconds)
        kernel.client.stop_channels()
    return rows({what: median(seconds) for what, seconds in took.items()})


def one(kernel: ServedKernel, what: str) -> float:
    """One sign-in in a cell."""
    result = kernel.run(f"print(json.dumps({{'took': rounds.{what}}}))", timeout=90)
    if result.status != "ok":
        raise RuntimeError(f"{what}: {result.traceback or result.status}")
    return float(json.loads(result.text.strip().splitlines()[-1])["took"])


def rows(took: dict[str, float]) -> list[Row]:
    """The medians against their peers."""
    browser, device = took["msal_browser()"], took["msal_device()"]
    interactive, polling = "MSAL `acquire_token_interactive`", "MSAL `acquire_token_by_device_flow`"
    what = "approval → cell goes on, beyond the token request:"
    return [
        Row("P4", f"{what} browser", took["nbauth('browser')"], interactive, browser, "≤ 100 ms"),
        Row("P4", f"{what} callback", took["nbauth('callback')"], interactive, browser, "≤ 100 ms"),
        Row(
            "P4", f"{what} device code", took["nbauth('device')"], polling, device, "≤ 1 poll (1 s)"
        ),
    ]
