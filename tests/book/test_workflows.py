"""The workflows call what anyone can run, with actions pinned to a commit and no more rights than they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {path.stem: path.read_text("utf8") for path in PATHS}
USES = re.compile(r"uses: ([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")
BY_TAG = re.compile(r"uses: [\w.-]+/[\w./-]+@v[\d.]+ # by tag: .+")
MAY_WRITE = {
    ("pages", "publish"): {"contents": "write"},
    ("release", "announce"): {"contents": "write"},
    ("release", "publish"): {"contents": "write"},
    ("release", "pypi"): {"id-token": "write"},
}


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    loaded = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
    return [(name, job, content) for name, flow in loaded.items() for job, content in flow["jobs"].items()]


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def test_there_are_the_four() -> None:
    assert set(TEXTS) == {"pages", "pull-request", "release", "weekly"}


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_by_commit_or_say_why_not(name: str) -> None:
    lines = [line.strip(" -") for line in TEXTS[name].splitlines() if "uses:" in line]
    assert lines and [line for line in lines if not (USES.fullmatch(line) or BY_TAG.fullmatch(line))] == []


def test_an_action_has_one_commit_and_one_version_everywhere() -> None:
    found = {pin for text in TEXTS.values() for pin in USES.findall(text)}
    assert len(found) == len({name for name, _, _ in found}), found


@pytest.mark.parametrize("name", TEXTS)
def test_a_workflow_may_read_alone(name: str) -> None:
    flow = yaml.safe_load(TEXTS[name])
    assert flow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in flow[True], "`on` is a boolean in YAML 1.1"


def test_a_job_writes_only_what_it_is_for_and_then_runs_nothing_that_was_installed() -> None:
    assert {
        (name, job): content["permissions"] for name, job, content in jobs() if "permissions" in content
    } == MAY_WRITE
    for name, job, content in jobs():
        if (name, job) in MAY_WRITE:
            assert not re.search(r"\.venv|pip |make (?!pages\b)", commands(content)), (name, job)


def test_the_token_stays_out_of_jobs_that_do_not_push() -> None:
    for name, job, content in jobs():
        kept = [step.get("with", {}).get("persist-credentials", True) for step in content["steps"] if is_checkout(step)]
        assert not any(kept) or MAY_WRITE.get((name, job)) == {"contents": "write"}, (name, job)


def is_checkout(step: dict[str, Any]) -> bool:
    return str(step.get("uses", "")).startswith("actions/checkout@")


def test_every_job_has_an_end() -> None:
    assert [(name, job) for name, job, content in jobs() if not 0 < content.get("timeout-minutes", 0) <= 180] == []


def test_no_expression_is_pasted_into_a_shell() -> None:
    """A branch or tag may be called `$(...)`: names reach a command through the environment."""
    assert [(name, job) for name, job, content in jobs() if "${{" in commands(content)] == []


def test_what_the_workflows_call_exists() -> None:
    called = "\n".join(commands(content) for _, _, content in jobs())
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE))
    words = [word for line in re.findall(r"\bmake ([^|>\n]+)", called) for word in line.split()]
    targets = {word for word in words if re.fullmatch("[a-z]+", word)}
    assert {"dist", "pages", "library", "drift", "test"} <= targets
    assert targets - made == set()
    tools = set(re.findall(r"-m tools\.(\w+)", called))
    assert {"release", "branch"} <= tools
    assert [name for name in tools if not (ROOT / f"tools/{name}.py").is_file()] == []
    assert (ROOT / ".ci/run").is_file() and "bash .ci/run" in called


def test_nothing_is_published_before_it_was_tried() -> None:
    steps = yaml.safe_load(TEXTS["release"])["jobs"]
    said = commands(steps["build"])
    order = [
        said.index(word) for word in ("tools.release", ".ci/run", "make dist", "make travel", "tools.notebook_branch")
    ]
    assert order == sorted(order)
    (travel,) = (step for step in steps["build"]["steps"] if step.get("run") == "make travel")
    assert travel["env"] == {"TRICKS_DIST": "dist"}, "the wheel that is tried is the one that is uploaded"
    assert steps["pypi"]["needs"] == "build" and steps["pypi"]["environment"] == "pypi"
    assert steps["publish"]["needs"] == steps["announce"]["needs"] == "pypi", "notebooks install what the registry has"
    pages = yaml.safe_load(TEXTS["pages"])["jobs"]
    assert ".ci/run" in commands(pages["book"])
    assert pages["publish"]["concurrency"] != steps["publish"]["concurrency"], "a push would cancel a waiting release"


def test_the_oldest_python_is_tried() -> None:
    (bound,) = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf8"))
    weekly = yaml.safe_load(TEXTS["weekly"])["jobs"]
    versions = {job: content["steps"][1]["with"]["python-version"] for job, content in weekly.items()}
    assert versions["oldest"] == bound and versions["newest"] == "3.x"
