"""`tools.browser`: a browser is found or missed loudly."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import browser


def test_a_browser_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "google-chrome"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find() == str(program)


def test_without_a_browser_a_reader_is_told_and_ci_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "find", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    assert browser.test() == 0
    assert "make browser" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert browser.test() == 1


@pytest.mark.parametrize("code", [0, 1, 5])
def test_a_failure_in_the_browser_is_one_of_the_run(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[-1] == "tests/browser"
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(browser, "find", lambda: "chromium")
    monkeypatch.setattr(subprocess, "run", run)
    assert browser.test() == code


def test_nothing_is_installed_over_a_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "find", lambda: "/opt/chromium")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("installed"))
    browser.install()
    assert "/opt/chromium" in capsys.readouterr().out
