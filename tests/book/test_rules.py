"""Each static rule holds for the project, and finds a fault that is planted in a small one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.book.sample_project import CHAPTER, HERE, LIBRARY, MODULE, cell, line_of, make_project, write
from tools import register
from tools.rules import __main__ as command
from tools.rules import tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project that keeps all rules."""
    return make_project(tmp_path)


@pytest.mark.parametrize("name", tree.RULES)
def test_the_project_keeps_the_rule(name):
    found = tree.broken(name, ROOT)
    assert not found, "\n" + "\n".join(found)


def long_file() -> str:
    return LIBRARY + "\n".join(f"x{n} = {n}" for n in range(250)) + "\n"


def long_function(length: int) -> str:
    return LIBRARY + "\n\ndef _long():\n" + "    pass\n" * (length - 1)


# rule -> file, text with the fault, and where the message points: the line on which this stands ("": the first)
PLANTED: dict[str, tuple[str, str, str]] = {
    "library: no_cuda": (str(MODULE), LIBRARY.replace("x.std(0)", "x.cuda()"), "x.cuda"),
    "library: no_foreign_randomness": (str(MODULE), LIBRARY.replace("import torch", "import random, torch"), "import"),
    "library: no_global_seeding": (str(MODULE), LIBRARY + "\n\ntorch.manual_seed(0)\n", "torch.manual"),
    "library: draws_take_a_generator": (str(MODULE), LIBRARY.replace("x.std(0)", "x.normal_()"), "x.normal_"),
    "library: factories_take_a_device": (str(MODULE), LIBRARY.replace("x.std(0)", "torch.zeros(2)"), "torch.zeros"),
    "library: loads_weights_only": (str(MODULE), LIBRARY.replace("x.std(0)", "torch.load(x)"), "torch.load"),
    "library: no_assert": (str(MODULE), LIBRARY.replace("return", "assert"), "assert"),
    "library: declares_its_names": (str(MODULE), LIBRARY.replace("__all__ =", "names ="), ""),
    "library: leaves_its_name_to_the_module": ("tricks_lib/data/spread.py", LIBRARY, "def spread"),
    "library: short_files": (str(MODULE), long_file(), ""),
    "library: short_functions": (str(MODULE), long_function(61), "def _long"),
    "library: typical_function_is_short": (str(MODULE), long_function(60), "no line"),
    "code: named_for_what_it_does": ("tools/" + "utils.py", "", ""),
    "tests: skips_say_why": ("tests/test_x.py", "import pytest\npytest.skip()\n", "pytest.skip"),
    "chapters: standard_header": (str(HERE), CHAPTER.replace("0.13", "0.12"), ""),
    "chapters: plain_python": (str(HERE), CHAPTER + cell("%time f()"), "%time"),
    "chapters: narrow_cells": (str(HERE), CHAPTER + cell(f"wide = '{'x' * 96}'"), "wide ="),
    "chapters: short_cells": (str(HERE), CHAPTER + cell("y = 1\n" * 26), "```{code-cell} ipython3\ny = 1"),
    "chapters: first_cell_sets_up": (str(HERE), CHAPTER.replace("num_threads(1)", "num_threads(2)"), "import torch"),
    "chapters: nothing_goes_unread": (str(HERE), CHAPTER + "\n```{raw} html\n93.1\n```\n", "```{raw}"),
    "chapters: nothing_is_excused": (
        str(HERE),
        CHAPTER + cell("y = 1", ":tags: [raises-exception]\n"),
        "```{code-cell} ipython3\n:tags: [raises",
    ),
    "chapters: nothing_is_hidden": (
        str(HERE),
        CHAPTER + cell("x = 1", ":tags: [remove-cell]\n"),
        "```{code-cell} ipython3\n:tags",
    ),
    "chapters: drawings_are_described": (
        str(HERE),
        CHAPTER.replace("caption:", "title:"),
        "```{code-cell} ipython3\n---",
    ),
    "chapters: reads_and_shows_nothing_itself": (str(HERE), CHAPTER + cell("open('a.txt')"), "open("),
    "chapters: seeds_are_its_own": (str(HERE), CHAPTER.replace('"data/looking"', '"data/other"'), "number = spread("),
    "chapters: exercises_have_solutions": (
        str(HERE),
        CHAPTER.replace("{solution-start} ex-c", "{solution-start} ex-d"),
        ":::{exercise-start}\n:label: ex-c",
    ),
    "chapters: takeaways_name_claims": (
        str(HERE),
        CHAPTER.replace("{ref}`neighbors <d03-constant>`", "neighbors"),
        "- So are",
    ),
    "chapters: imports_public_names": (
        str(HERE),
        CHAPTER + cell("from tricks_lib.data.looking import _private"),
        "from tricks_lib.data.looking import _private",
    ),
    "chapters: no_cuda": (str(HERE), CHAPTER + cell("x.to('cuda')"), "x.to('cuda')"),
    "chapters: no_foreign_randomness": (str(HERE), CHAPTER + cell("np.random.rand()"), "np.random"),
    "chapters: loads_weights_only": (str(HERE), CHAPTER + cell("torch.load(path)"), "torch.load"),
    "pages: figures_have_alternatives": ("book/index.md", "# Home\n\n28x28\n\n![](a.png)\n", "![]"),
    "pages: anchors_are_registered": (str(HERE), CHAPTER.replace("(trick-d03)=", "(trick-d04)="), "(trick-d04)="),
    "pages: no_typed_numbers": ("book/index.md", "# Home\n\n28x28\n\nRight for 93 % of them.\n", "Right"),
    "text: american_spelling": ("README.md", "# Read me\n\nA nice colo" + "ur.\n", "A nice"),
    "text: no_machine_paths": ("README.md", "# Read me\n\nSee `/wo" + "rk/main`.\n", "See"),
    "text: no_left_overs": ("README.md", "# Read me\n\nTO" + "DO\n", "TO" + "DO"),
    "git: built_files": ("book/data/looking.ipynb", "{}", ""),
}


def test_every_rule_has_a_planted_fault():
    assert set(PLANTED) == set(tree.RULES)


def test_the_small_project_keeps_all_rules(project):
    assert tree.problems(project) == []


@pytest.mark.parametrize("name", PLANTED)
def test_the_rule_finds_its_planted_fault(name, project):
    file, text, needle = PLANTED[name]
    write(project / file, text)
    subprocess.run(["git", "-C", str(project), "add", "-f", file], check=True)
    found = tree.broken(name, project)
    assert len(found) == 1, found
    if needle != "no line":
        assert found[0].startswith(f"{file}:{line_of(text, needle)}: "), found


def test_other_rules_keep_quiet_about_a_planted_fault(project):
    write(project / MODULE, PLANTED["library: no_assert"][1])
    assert {name for name in tree.RULES if tree.broken(name, project)} == {"library: no_assert"}


def test_files_that_git_ignores_or_that_are_deleted_are_not_read(project):
    write(project / ".gitignore", "ignored.md\n")
    write(project / "ignored.md", "TO" + "DO")
    write(project / "gone.md", "TO" + "DO")
    subprocess.run(["git", "-C", str(project), "add", "gone.md"], check=True)
    (project / "gone.md").unlink()
    assert tree.problems(project) == []


def test_without_git_all_files_are_read_but_what_was_built(tmp_path):
    for name in ("README.md", "_build/a.md", ".venv/b.md"):
        write(tmp_path / name, "TO" + "DO")
    assert tree.tracked(tmp_path) == [Path("README.md")]
    assert len(tree.broken("text: no_left_overs", tmp_path)) == 1


def test_pictures_and_arrays_are_passed_over(project):
    (project / "a.npz").write_bytes(b"\xff\x00")
    assert tree.problems(project) == []


def test_the_command_prints_what_rules_and_register_find_and_fails(project, monkeypatch, capsys):
    write(project / "README.md", "TO" + "DO")
    assert command.main(project) == 1
    printed = capsys.readouterr().out
    assert "README.md:1: " in printed
    assert "D01: missing" in printed
    write(project / "README.md", "# Read me\n")
    monkeypatch.setattr(register, "problems", lambda *_: [])
    assert command.main(project) == 0
    assert capsys.readouterr().out == f"{len(tree.RULES)} rules and the register hold\n"
