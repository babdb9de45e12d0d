"""The published site: a folder for each release, one for what comes next, and pages that lead there.

python -m tools.pages FOLDER dev        lay out _build/html as FOLDER/dev
python -m tools.pages FOLDER v0.1.0     lay it out as FOLDER/0.1.0, beside the releases that are there

FOLDER/latest is the newest release (`dev` before the first): links into it stay good.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parents[1] / "_build/html"
RELEASE = re.compile(r"\d+\.\d+\.\d+")
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{head}
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def lay_out(folder: Path, name: str, site: Path = SITE) -> None:
    """Put a built site where ``name``, a tag or ``dev``, belongs, and bring what leads to it up to date."""
    version = name.removeprefix("v")
    if name != "dev" and not (name.startswith("v") and RELEASE.fullmatch(version)):
        raise SystemExit(f"{name!r} should be dev or a release, as v0.1.0")
    if not (site / "index.html").is_file():
        raise SystemExit(f"{site} holds no built book: `make book`")
    _replace(site, folder / version)
    newest = next(iter(releases(folder)), "dev")
    if version == newest:
        _replace(site, folder / "latest")
    (folder / ".nojekyll").touch()  # else GitHub leaves out all folders that begin with _
    lead = '\n<meta http-equiv="refresh" content="0; url=latest/index.html">'
    (folder / "index.html").write_text(
        PAGE.format(title="The book", head=lead, body='<p><a href="latest/index.html">Read it</a></p>'), "utf8"
    )
    (folder / "versions.html").write_text(PAGE.format(title="Versions", head="", body=_list(folder)), "utf8")


def releases(folder: Path) -> list[str]:
    """Return the releases in a folder, newest first."""
    names = [path.name for path in folder.iterdir() if path.is_dir() and RELEASE.fullmatch(path.name)]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")], reverse=True)


def _list(folder: Path) -> str:
    names = releases(folder)
    notes = {"dev": " (what comes next)"} | {name: " (the newest release)" for name in names[:1]}
    there = [name for name in [*names, "dev"] if (folder / name).is_dir()]
    rows = [f'<li><a href="{name}/index.html">{name}</a>{notes.get(name, "")}</li>' for name in there]
    return "\n".join(["<ul>", *rows, "</ul>"])


def _replace(site: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(site, to)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("where, and which version? python -m tools.pages FOLDER dev")
    lay_out(Path(sys.argv[1]), sys.argv[2])
