"""Print ``N passed, N failed`` over the JUnit reports in a folder; exit 1 if anything failed or nothing ran.

python tools/count_tests.py build/reports
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def count(folder: Path) -> tuple[int, int, int]:
    """Return how many tests and notebook cells passed, failed and were skipped."""
    suites = [suite for path in sorted(folder.glob("*.xml")) for suite in ET.parse(path).iter("testsuite")]
    tests, failed, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (["tests"], ["failures", "errors"], ["skipped"])
    )
    return tests - failed - skipped, failed, skipped


if __name__ == "__main__":
    passed, failed, skipped = count(Path(sys.argv[1]))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(bool(failed) or not passed)
