"""Add up the JUnit files of a test run; the last line is ``N passed, N failed, N skipped``."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(folder: Path) -> int:
    """Print one line a file and the sum; 1 if a test failed or none ran."""
    passed = failed = skipped = 0
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
        failed += bad
        skipped += left_out
        passed += max(total - bad - left_out, 0)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
