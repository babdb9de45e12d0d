"""A folder as a branch of its own: one commit that shares nothing with the others, for what is built and published.

python -m tools.branch fetch BRANCH FOLDER     write the branch of `origin` to FOLDER, which is empty if there is none
python -m tools.branch push FOLDER BRANCH      make FOLDER all that is on it; refused if it moved since the fetch
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

WHO = {"NAME": "published by the build", "EMAIL": "build@localhost"}


def fetch(branch: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    known = f"refs/remotes/origin/{branch}"
    _git("update-ref", "-d", known)
    if _git("ls-remote", "--heads", "origin", f"refs/heads/{branch}"):
        _git("fetch", "--quiet", "origin", f"+refs/heads/{branch}:{known}")
        with tarfile.open(fileobj=io.BytesIO(_git("archive", known))) as archive:
            archive.extractall(folder, filter="data")


def push(folder: Path, branch: str) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        raise SystemExit(f"{folder} is no folder with something in it: the branch {branch} stays as it is")
    source = _git("log", "-1", "--format=%h: %s").decode().strip()
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in WHO.items()}
    with tempfile.TemporaryDirectory() as scratch:
        env = os.environ | who | {"GIT_INDEX_FILE": f"{scratch}/index", "GIT_WORK_TREE": str(folder.resolve())}
        _git("add", "--all", "--force", ".", env=env, cwd=folder)
        tree = _git("write-tree", env=env).decode().strip()
        commit = _git("commit-tree", tree, "-m", f"Built from {source}", env=env).decode().strip()
    known = _git("for-each-ref", "--format=%(objectname)", f"refs/remotes/origin/{branch}").decode().strip()
    force = f"--force-with-lease=refs/heads/{branch}:{known}" if known else "--force"
    _git("push", "--quiet", force, "origin", f"{commit}:refs/heads/{branch}")


def _git(*words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> bytes:
    """Run git; what it says of an error goes to the screen."""
    env = (env or dict(os.environ)) | ({"GIT_DIR": _git_dir()} if cwd else {})
    return subprocess.run(["git", *words], env=env, cwd=cwd, check=True, stdout=subprocess.PIPE).stdout


def _git_dir() -> str:
    return subprocess.check_output(["git", "rev-parse", "--absolute-git-dir"], text=True).strip()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fetch", branch, folder]:
            fetch(branch, Path(folder))
        case ["push", folder, branch]:
            push(Path(folder), branch)
        case _:
            sys.exit("python -m tools.branch fetch BRANCH FOLDER, or push FOLDER BRANCH")
