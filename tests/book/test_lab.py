"""`make lab`: chapters are notebooks in a real JupyterLab, and what it saves is what was edited, and no more."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest

from tests.lab_server import Lab, lab
from tools import chapters
from tools.lab import merge, restyled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.mark.parametrize("name", ["book/data/looking", "book/learning/learning_rate", "book/index", "README"])
def test_a_save_without_edits_leaves_the_file_as_it_was(server: Lab, name: str) -> None:
    assert server.save(name, server.open(name)) == (ROOT / f"{name}.md").read_text("utf8")


def test_an_edited_cell_is_all_that_changes(server: Lab) -> None:
    before = (server.folder / "book/data/whitening.md").read_text("utf8")
    notebook = server.open("book/data/whitening")
    (cell,) = (cell for cell in notebook["cells"] if cell["source"].startswith("conditions = "))
    old, rest = cell["source"].split("\n", 1)
    cell["source"] = f"conditions = [10.0**k for k in range(1, 5)]\n{rest}"
    notebook["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"  # as JupyterLab does
    cell["metadata"] |= {"collapsed": True, "jupyter": {"outputs_hidden": True}}
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "an output"}]
    diff = difflib.ndiff(before.splitlines(), server.save("book/data/whitening", notebook).splitlines())
    changes = [line for line in diff if line[0] in "+-"]
    assert changes == [f"- {old}", "+ conditions = [10.0**k for k in range(1, 5)]"]
    kept = [cell for cell in server.open("book/data/whitening")["cells"] if cell.get("outputs")]
    assert [cell["outputs"][0]["text"] for cell in kept] == ["an output"], "paired: outputs outlive the browser"
    places = {path.relative_to(server.folder).parts[:2] for path in server.folder.rglob("*.ipynb")}
    assert places == {("build", "lab")}, "git ignores build"


def test_cells_run_beside_their_chapter(server: Lab) -> None:
    code = "import pathlib, tricks_lib; print(pathlib.Path('whitening.tuned.json').exists(), tricks_lib.__file__)"
    assert server.run("book/data/whitening", code) == f"True {server.folder / 'tricks_lib/__init__.py'}\n"


def test_an_editor_saves_what_it_shows(server: Lab) -> None:
    text = (ROOT / "book/data/curvature.md").read_text("utf8")
    edited = text.replace(")=\n```", ")=\n\n```", 1)  # as jupytext would write it, but somebody did
    assert edited != text
    server.ask("/contents/book/data/curvature.md", "PUT", type="file", format="text", content=edited)
    assert (server.folder / "book/data/curvature.md").read_text("utf8") == edited


@pytest.mark.parametrize("name", chapters.chapters())
def test_what_jupytext_would_write_another_way_stays(name: str) -> None:
    text = (ROOT / f"{name}.md").read_text("utf8")
    theirs = jupytext.writes(jupytext.reads(text, "md"), "md")
    assert theirs != text and restyled(text, theirs) == text


@pytest.mark.parametrize(
    ("old", "base", "new", "merged"),
    [
        ("ab c", "a b c", "a b d", "ab d"),  # a far edit
        ("abc", "aXbXc", "aXbc", "abc"),  # what was taken out of their style alone
        ("abc", "aXbXc", "aYbXc", "aYbc"),  # an edit of what is in their style
        ("abc", "abXc", "NabXcM", "NabcM"),  # at both ends
        ("", "", "ab", "ab"),
        ("ab", "ab", "", ""),
    ],
)
def test_merge(old: str, base: str, new: str, merged: str) -> None:
    assert "".join(merge(list(old), list(base), list(new))) == merged
