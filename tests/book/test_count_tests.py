from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


def count(folder: Path) -> tuple[int, str]:
    run = subprocess.run([sys.executable, ROOT / "tools/count_tests.py", folder], text=True, capture_output=True)
    return run.returncode, run.stdout.strip()


@pytest.mark.parametrize(
    ("reports", "code", "line"),
    [
        ([(5, 0, 0, 0), (3, 0, 0, 0)], 0, "8 passed, 0 failed"),
        ([(5, 1, 0, 0), (3, 0, 1, 0)], 1, "6 passed, 2 failed"),
        ([(5, 0, 0, 2)], 0, "3 passed, 0 failed, 2 skipped"),
        ([(2, 0, 0, 2)], 1, "0 passed, 0 failed, 2 skipped"),
        ([], 1, "0 passed, 0 failed"),
    ],
)
def test_counts_are_honest(tmp_path: Path, reports: list[tuple[int, ...]], code: int, line: str) -> None:
    for number, report in enumerate(reports):
        (tmp_path / f"{number}.xml").write_text(SUITE.format(*report))
    assert count(tmp_path) == (code, line)
