"""Add up the JUnit files of a test run.

Its last lines name each test that failed, and why; the last is ``N passed, N failed, N skipped``.
A reader of the end of a long log sees what to look at.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

LONGEST = 600
"""The length of a failed test's message on its one line."""


def failures(suite: ElementTree.Element) -> list[str]:
    """One text for each failed test: its name and its message."""
    found = []
    for case in suite.iter("testcase"):
        for outcome in [*case.iter("failure"), *case.iter("error")]:
            said = " ".join((outcome.get("message") or outcome.text or "").split())
            name = f"{case.get('classname')}::{case.get('name')}"
            found.append(f"FAILED {name}: {said[:LONGEST]}")
    return found


def main(folder: Path) -> int:
    """Print one line a file, what failed, and the sum; 1 if a test failed or none ran."""
    passed = failed = skipped = 0
    told: list[str] = []
    for path in sorted(folder.glob("*.xml")):
        suite = ElementTree.parse(path).getroot().find("testsuite")
        if suite is None:
            continue
        total, bad, left_out = (
            int(suite.get("tests", "0")),
            int(suite.get("failures", "0")) + int(suite.get("errors", "0")),
            int(suite.get("skipped", "0")),
        )
        print(f"{path.stem}: {total} tests in {float(suite.get('time', '0')):.0f} s")
        told += [f"{path.stem}: {text}" for text in failures(suite)]
        failed += bad
        skipped += left_out
        passed += max(total - bad - left_out, 0)
    for text in told:
        print(text)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
