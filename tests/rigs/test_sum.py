"""The summary at the end of CI's log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUM = Path(__file__).parents[2] / "tools" / "sum_tests.py"
SUITE = (
    '<testsuites><testsuite tests="{total}" failures="{bad}" skipped="0" time="2.4">'
    "{cases}</testsuite></testsuites>"
)
FELL = (
    '<testcase classname="tests.room.test_one" name="test_that_falls[1]">'
    '<failure message="assert 1 == 2&#10;9 passed, 0 failed, 0 skipped">'
    "a long trace</failure></testcase>"
)
STOOD = '<testcase classname="tests.room.test_one" name="test_that_stands" />'


def summed(folder: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, str(SUM), str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_the_summary_names_failures(tmp_path: Path) -> None:
    (tmp_path / "here.xml").write_text(SUITE.format(total=2, bad=1, cases=STOOD + FELL))
    (tmp_path / "there.xml").write_text(SUITE.format(total=1, bad=0, cases=STOOD))
    assert summed(tmp_path) == (
        1,
        [
            "here: 2 tests in 2 s",
            "there: 1 tests in 2 s",
            "here: FAILED tests.room.test_one::test_that_falls[1]: assert 1 == 2"
            " 9 passed, 0 failed, 0 skipped",
            "2 passed, 1 failed, 0 skipped",
        ],
    )


def test_a_run_without_failures_succeeds(tmp_path: Path) -> None:
    (tmp_path / "here.xml").write_text(SUITE.format(total=1, bad=0, cases=STOOD))
    assert summed(tmp_path) == (0, ["here: 1 tests in 2 s", "1 passed, 0 failed, 0 skipped"])


def test_a_run_without_tests_fails(tmp_path: Path) -> None:
    assert summed(tmp_path) == (1, ["0 passed, 0 failed, 0 skipped"])
