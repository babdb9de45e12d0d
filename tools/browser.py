"""Try the built site in a real browser, where there is one: `make test` does this last.

python -m tools.browser            run tests/browser; without a browser say so, and fail where CI is set
python -m tools.browser install    bring a Chromium: Debian's where apt-get may be used, else Playwright's
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PYTEST = ["-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "--junitxml=build/reports/browser.xml"]


def find() -> str | None:
    """Return the path of a Chromium: one on the PATH, or the one that Playwright installed."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return next(filter(None, map(shutil.which, NAMES)), own if Path(own).is_file() else None)


def install() -> None:
    """Install a Chromium, unless there is one."""
    if found := find():
        print(f"there is a browser: {found}")
    elif shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], check=True)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def test() -> int:
    """Run the tests; return their exit code."""
    if find():
        return subprocess.run([sys.executable, *PYTEST, "tests/browser"]).returncode
    print("no browser here: the built site was not tried in one. `make browser` installs one.")
    return int("CI" in os.environ)


if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        install()
    else:
        sys.exit(test())
