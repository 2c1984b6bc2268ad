"""The sizes of the fault tests, and the table of their results.

``NBAUTH_FAULTS=full`` (``make test-faults``) runs them at full size, prints the table and writes
it to ``test-results/faults.md``; else they are small enough for every run.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.sizes import FULL
from tests.harness.kernels import ROOT
from tests.interop.conftest import peer, scripted, session
from tests.kernel.conftest import bench, clock

__all__ = [
    "bench",
    "clock",
    "peer",
    "scripted",
    "session",
]  # sessions against the real provider, as interop has them
TABLE = ROOT / "test-results" / "faults.md"
_ROWS = pytest.StashKey[list[tuple[str, str, str, str]]]()

Figure = Callable[[str, str, str, str], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """``figure(number, what, given, shown)`` puts a row into the table, equal ones once."""
    rows = request.config.stash.setdefault(_ROWS, [])

    def add(number: str, what: str, given: str, shown: str) -> None:
        rows.append((number, what, given, shown))

    return add


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what only a full run needs: the peers, and a real full disk."""
    left_out = [] if FULL else [item for item in items if item.get_closest_marker("full_size")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, at the end of a full run."""
    rows = terminalreporter.config.stash.get(_ROWS, [])
    if not (FULL and rows):
        return
    lines = ["| # | what | input | figure |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in sorted(set(rows))]
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    terminalreporter.section("results of the fault tests")
    terminalreporter.write("\n".join(["", *lines, ""]) + "\n")
