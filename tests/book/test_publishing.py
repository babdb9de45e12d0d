"""A release is one only where all that names its version agrees; the site keeps each and leads to the newest."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

import tricks_lib
from tools import bounds, branch, pages, release

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = """# Changelog

## [Unreleased]

## [0.2.0] - 2027-01-31

### Added

- More.

## [0.1.0] - 2026-12-24

- All.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "CITATION.cff").write_text("title: A book\nversion: 0.2.0\nlicense: MIT\n")
    (tmp_path / "tests/api.json").write_text(json.dumps({"version": "0.2.0", "names": {}}))
    return tmp_path


def test_a_release_where_all_agree(project: Path) -> None:
    assert release.problems("v0.2.0", "0.2.0", project) == []
    assert release.notes("0.2.0", project) == "### Added\n\n- More."
    assert release.notes("0.1.0", project) == "- All."


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("CHANGELOG.md", "[0.2.0] - 2027-01-31", "[0.2.1] - 2027-01-31", "no notes under '## [0.2.0] - <date>'"),
        ("CHANGELOG.md", "[0.2.0] - 2027-01-31", "[0.2.0]", "no notes under"),
        ("CHANGELOG.md", "### Added\n\n- More.\n", "", "no notes under"),
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- Not yet.\n", "notes under [Unreleased]"),
        ("CITATION.cff", "0.2.0", "0.1.0", "CITATION.cff does not have the version 0.2.0"),
        ("tests/api.json", "0.2.0", "0.1.0", "tests/api.json is the list of 0.1.0"),
    ],
)
def test_what_disagrees_is_named(project: Path, name: str, old: str, new: str, said: str) -> None:
    text = (project / name).read_text()
    assert old in text
    (project / name).write_text(text.replace(old, new, 1))
    (line,) = release.problems("v0.2.0", "0.2.0", project)
    assert said in line


@pytest.mark.parametrize("tag", ["0.2.0", "v0.2", "v0.2.0-rc1", "v0.3.0"])
def test_a_tag_that_is_not_the_version(project: Path, tag: str) -> None:
    (line,) = release.problems(tag, "0.2.0", project)
    assert line == f"the tag is {tag}, the version 0.2.0: it should be v0.2.0"


def test_a_version_that_no_folder_of_the_site_may_have_is_no_release(project: Path) -> None:
    assert any("should be like 1.2.0" in line for line in release.problems("v0.2.0rc1", "0.2.0rc1", project))


def test_the_versions_of_this_project_agree() -> None:
    """All but the notes, which stand under [Unreleased] until the day of a release."""
    left = release.problems(f"v{tricks_lib.__version__}", tricks_lib.__version__)
    assert [line for line in left if "CHANGELOG" not in line] == []


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    assert bounds.oldest(["torch>=2.9", "jupytext>=1.17,<2"]) == ["torch==2.9", "jupytext==1.17"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    assert len(bounds.oldest(project["dependencies"])) == 5
    with pytest.raises(SystemExit, match=r"'numpy<3' should start with a name and its lower bound"):
        bounds.oldest(["torch>=2.9", "numpy<3"])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site/_static").mkdir(parents=True)
    (tmp_path / "site/index.html").write_text("first")
    (tmp_path / "site/_static/book.css").touch()
    return tmp_path / "site"


def test_each_release_has_its_folder_and_the_newest_is_latest(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    latest = folder / "latest/index.html"
    for text, name in [("dev 1", "dev"), ("0.9", "v0.9.0"), ("0.10", "v0.10.0"), ("0.9.1", "v0.9.1"), ("dev 2", "dev")]:
        (site / "index.html").write_text(text)
        pages.lay_out(folder, name, site)
        assert (folder / name.removeprefix("v") / "index.html").read_text() == text
        assert latest.read_text() == {"dev 2": "0.10", "0.9.1": "0.10"}.get(text, text)
    assert pages.releases(folder) == ["0.10.0", "0.9.1", "0.9.0"]
    assert (folder / ".nojekyll").is_file() and (folder / "latest/_static/book.css").is_file()
    assert 'content="0; url=latest/index.html"' in (folder / "index.html").read_text()
    listed = (folder / "versions.html").read_text()
    places = [listed.index(f'href="{name}/index.html"') for name in ("0.10.0", "0.9.1", "0.9.0", "dev")]
    assert places == sorted(places) and "0.10.0</a> (the newest release)" in listed


def test_a_page_that_is_gone_is_gone_from_its_folder(site: Path, tmp_path: Path) -> None:
    (site / "old.html").touch()
    folder = tmp_path / "pages"
    folder.mkdir()
    pages.lay_out(folder, "dev", site)
    (site / "old.html").unlink()
    pages.lay_out(folder, "dev", site)
    assert not (folder / "dev/old.html").exists() and not (folder / "latest/old.html").exists()


@pytest.mark.parametrize("name", ["0.1.0", "v0.1", "main", "v../0.1.0", "vdev", "", "v1.2.3.4"])
def test_a_name_that_is_no_version_is_refused(site: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit, match=r"should be dev or a release, as v0\.1\.0"):
        pages.lay_out(tmp_path / "pages", name, site)
    assert not (tmp_path / "pages").exists()


def test_nothing_built_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no built book"):
        pages.lay_out(tmp_path, "dev", tmp_path)


def git(*words: str, cwd: Path) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clones(tmp_path: Path) -> tuple[Path, Path]:
    """Two clones of one repository with two commits; the second has only the last of them, as in a workflow."""
    git("init", "--bare", "-q", "remote", cwd=tmp_path)
    git("clone", "-q", "remote", "one", cwd=tmp_path)
    (tmp_path / "one/.gitignore").write_text("*.ipynb\n")
    git("add", ".gitignore", cwd=tmp_path / "one")
    git("commit", "-qm", "Start", cwd=tmp_path / "one")
    git("commit", "-qm", "Go on", "--allow-empty", cwd=tmp_path / "one")
    git("push", "-q", "origin", "HEAD:main", cwd=tmp_path / "one")
    git("clone", "-q", "-b", "main", "--depth=1", f"file://{tmp_path}/remote", "two", cwd=tmp_path)
    return tmp_path / "one", tmp_path / "two"


def test_a_folder_goes_to_a_branch_and_comes_back(clones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = clones
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / ".gitignore").write_text("*.ipynb\n")
    (made / "deep/page.ipynb").write_text("{}")
    monkeypatch.chdir(one)
    branch.fetch("pages", tmp_path / "back")
    assert list((tmp_path / "back").iterdir()) == [], "the branch is not there yet"
    branch.push(made, "pages")
    assert git("status", "--porcelain", cwd=one) == "", "the work tree and its index are left alone"
    monkeypatch.chdir(two)
    branch.fetch("pages", tmp_path / "back")
    there = sorted(path.relative_to(tmp_path / "back").as_posix() for path in (tmp_path / "back").rglob("*"))
    assert there == [".gitignore", "deep", "deep/page.ipynb"]
    (tmp_path / "back/deep/page.ipynb").unlink()
    branch.push(tmp_path / "back", "pages")
    assert git("ls-tree", "-r", "--name-only", "pages", cwd=tmp_path / "remote") == ".gitignore"
    assert git("rev-list", "--count", "pages", cwd=tmp_path / "remote") == "1"
    assert "Go on" in git("log", "-1", "--format=%s", "pages", cwd=tmp_path / "remote")


def test_what_another_published_meanwhile_is_not_lost(clones, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = clones
    monkeypatch.chdir(one)
    branch.push(site, "pages")
    branch.fetch("pages", site.parent / "one_has")
    monkeypatch.chdir(two)
    (site / "index.html").write_text("second")
    branch.push(site, "pages")
    monkeypatch.chdir(one)
    with pytest.raises(subprocess.CalledProcessError):
        branch.push(site.parent / "one_has", "pages")


def test_a_branch_that_was_deleted_is_made_again(clones, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clones[0])
    branch.push(site, "pages")
    branch.fetch("pages", site.parent / "back")
    git("branch", "-D", "pages", cwd=site.parent / "remote")
    branch.fetch("pages", site.parent / "back")
    assert list((site.parent / "back").iterdir()) == []
    branch.push(site, "pages")


def test_an_empty_folder_does_not_empty_a_branch(clones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clones[0])
    (tmp_path / "nothing").mkdir()
    for folder in ("nothing", "missing"):
        with pytest.raises(SystemExit, match="the branch pages stays as it is"):
            branch.push(tmp_path / folder, "pages")
