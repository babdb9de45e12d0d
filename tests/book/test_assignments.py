"""The problem sets: the solution earns all points, the version for students none, and it gives nothing away."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tools import assignments, chapters

NAMES = chapters.assignments()


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assignments.make(request.param, tmp_path_factory.mktemp("versions"))


def path(made: Path, version: str) -> Path:
    return made / version / f"{made.name}.ipynb"


def source(made: Path, version: str) -> str:
    cells: Any = nbformat.read(path(made, version), as_version=4).cells
    return "\n".join(cell.source for cell in cells)


def points(made: Path, version: str) -> dict[str, tuple[float, float]]:
    return assignments.grade(path(made, version), made / "autograder.zip")


def test_there_is_one() -> None:
    assert "book/assignments/data" in NAMES
    assert not set(NAMES) & set(chapters.pages())


def test_the_solution_earns_all_points(made: Path) -> None:
    found = points(made, "solution")
    assert {name: score for name, (score, most) in found.items() if score != most} == {}
    stated = re.search(r"\*\*Points\*\*: (\d+)\.", source(made, "student"))
    assert stated and sum(most for _, most in found.values()) == int(stated[1])


def test_an_untouched_notebook_earns_none(made: Path) -> None:
    assert {score for score, _ in points(made, "student").values()} == {0}


def test_an_untouched_notebook_runs_to_its_end(made: Path, tmp_path: Path) -> None:
    copied = shutil.copy(path(made, "student"), tmp_path)
    notebook = nbformat.read(copied, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()


LEAKY = """
def prepared(parts, transform):
    together = torch.cat([x for x, _ in parts.values()])
    fitted = transform and transform.fit(together)
    return {name: ((fitted(x) if fitted else x).float(), y) for name, (x, y) in parts.items()}
"""


def test_a_wrong_answer_loses_its_points_alone(made: Path, tmp_path: Path) -> None:
    solved, handed_out = (nbformat.read(path(made, version), as_version=4) for version in ("solution", "student"))
    (right,) = (cell.source for cell in solved.cells if "def summary" in cell.source)
    for cell in handed_out.cells:
        for start, answer in {"def summary": right, "def prepared": LEAKY}.items():
            cell.source = answer if cell.source.startswith(start) else cell.source
    nbformat.write(handed_out, tmp_path / "data.ipynb")
    found = assignments.grade(tmp_path / "data.ipynb", made / "autograder.zip")
    assert found["q1"] == (4, 4) and found["q2"] == (1, 4) and found["q3"] == (0, 2)


MISTAKES = {
    "q4": ("least_squares_hessian(z)", "least_squares_hessian(z, bias=False)"),
    "q5": ("return 2 / torch.linalg", "return 1 / torch.linalg"),
    "q6": ('search.final("val_accuracy")', 'search.final("test_accuracy")'),  # tuned on what is reported
    "q7": (
        "accuracies(Standardize, n), accuracies(PCAWhitening, n)",
        "accuracies(PCAWhitening, n), accuracies(Standardize, n)",
    ),
    "q8": ("torch.where(chosen & (y < 2), 1 - y, y)", "y"),
}


def test_mistakes_in_the_solution_are_found(made: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path(made, "solution"), as_version=4)
    for right, wrong in MISTAKES.values():
        (cell,) = (cell for cell in notebook.cells if right in cell.source)
        cell.source = cell.source.replace(right, wrong)
    nbformat.write(notebook, tmp_path / "data.ipynb")
    found = assignments.grade(tmp_path / "data.ipynb", made / "autograder.zip")
    assert {name: score for name, (score, most) in found.items() if score != most} == dict(q4=1, q5=1, q6=3, q7=2, q8=1)


def test_what_is_handed_out_holds_no_solution_and_no_hidden_check(made: Path) -> None:
    text = path(made, "student").read_text("utf8")
    assert "BEGIN" not in text and "SOLUTION" not in text and "hidden: true" not in text
    assert '"hidden": true' not in text and "find_duplicates" not in text
    assert source(made, "student").count("...\n") >= 5
    page = (made / "student.md").read_text("utf8")
    assert "transform.fit" not in page and "assert" not in page


def test_two_builds_are_the_same(made: Path, tmp_path: Path) -> None:
    (name,) = (name for name in NAMES if Path(name).name == made.name)
    again = assignments.make(name, tmp_path)
    for kept in (path(made, "student"), path(made, "solution"), made / "student.md"):
        assert (again / kept.relative_to(made)).read_bytes() == kept.read_bytes()


def test_a_source_that_otter_refuses_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "book/assignments"
    folder.mkdir(parents=True)
    text = (chapters.ROOT / "book/assignments/data.md").read_text("utf8")
    (folder / "broken.md").write_text(text.replace("# END QUESTION", "", 1), "utf8")
    with pytest.raises(SystemExit, match="otter assign"):
        assignments.make("book/assignments/broken", tmp_path / "made", tmp_path)
