"""The rules for chapters: what they let pass and what they find."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from tests.book.sample_project import (
    CLAIM,
    EXERCISES,
    HEADER,
    HERE,
    LIBRARY,
    TAKEAWAYS,
    cell,
    chapter,
    line_of,
    lines,
    make_project,
    write,
)
from tools.rules import chapters, code, pages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project that keeps all rules."""
    return make_project(tmp_path)


def test_a_page_without_code_is_no_chapter_and_one_with_code_needs_the_header():
    assert not chapters.is_chapter("# Notation\n\n```python\nx\n```\n")
    assert not chapters.is_chapter("---\nhtml_theme: x\n---\n# Jupytext\n\nA jupytext: header.\n")
    assert chapters.is_chapter(HEADER + "# Title\n")
    assert chapters.is_chapter("# Title\n\n" + cell("x"))
    assert chapters.standard_header(HERE, "# Title\n\n" + cell("x"))


@pytest.mark.parametrize(
    "old_and_new",
    [
        ("format_name: myst", "format_name: markdown"),
        ("name: python3", "name: conda"),
        ("kernelspec:", "mystnb: {}\nkernelspec:"),
        ("format_version: 0.13", "format_version: 0.13\n    jupytext_version: 1.19.6"),
    ],
)
def test_another_header_is_refused_and_the_right_one_is_told(old_and_new):
    assert chapters.standard_header(HERE, HEADER) == []
    (message,) = chapters.standard_header(HERE, HEADER.replace(*old_and_new))
    assert HEADER.strip() in message


def test_a_cell_within_a_directive_is_found():
    inside = "````{exercise}\n:label: a\n\n" + cell("x = 1") + "````\n"
    assert len(chapters.plain_python(HERE, chapter(inside))) == 1
    assert chapters.plain_python(HERE, chapter(cell("x = 1"))) == []


def test_a_broken_cell_does_not_keep_the_others_from_being_read():
    text = chapter(cell("!ls"), cell("open('a')"))
    assert lines(chapters.plain_python(HERE, text)) == [line_of(text, "!ls")]
    assert lines(chapters.reads_and_shows_nothing_itself(HERE, text)) == [line_of(text, "open(")]


@pytest.mark.parametrize(
    ("statement", "is_fine"),
    [
        ("from tricks_lib.data.looking import spread", True),
        ("from tricks_lib.data.looking import spread as s", True),
        ("import torch, numpy as np", True),
        ("from tricks_lib.data.looking import hidden", False),
        ("from tricks_lib.data.looking import *", False),
        ("from tricks_lib.data import looking", False),
        ("from tricks_lib.data._private import spread", False),
        ("from tricks_lib.data.missing import spread", False),
        ("import tricks_lib.data.looking", False),
        ("import tricks_lib.data.looking as looking", False),
        ("def f():\n    from tricks_lib.data.looking import hidden", False),
    ],
)
def test_chapters_import_what_a_user_would(project, statement, is_fine):
    write(project / "tricks_lib/data/_private.py", LIBRARY)
    found = chapters.imports_public_names(HERE, chapter(cell(statement)), project)
    assert (found == []) == is_fine


def test_the_limit_of_a_cell_is_25_lines_of_which_options_are_none():
    options = ":tags: [hide-input]\n"
    assert chapters.short_cells(HERE, cell("x = 1\n" * 25, options) + cell("x") * 2) == []
    assert chapters.short_cells(HERE, cell("x = 1\n" * 26, options) + cell("x") * 2)


def test_the_limit_of_a_line_is_100_characters():
    assert chapters.narrow_cells(HERE, chapter(cell("x = 1"), cell("#" * 100))) == []
    text = chapter(cell("x = 1"), cell("x = 2\n" + "#" * 101, ":tags: [hide-input]\n"))
    assert lines(chapters.narrow_cells(HERE, text)) == [line_of(text, "#" * 101)]


@pytest.mark.parametrize(
    ("options", "body", "count"),
    [
        (":tags: [hide-input, timing]\n", "x = 1", 0),
        (":tags: [raises-exception]\n", "x = 1", 1),
        (":tags: [nbval-skip]\n", "x = 1", 1),
        ("", "# NBVAL_SKIP\nx = 1", 1),
        ("", "#NBVAL_RAISES_EXCEPTION\nx = 1", 1),
    ],
)
def test_no_cell_is_excused(options, body, count):
    assert len(chapters.nothing_is_excused(HERE, chapter(cell(body, options)))) == count


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("Plain text.", 0),
        ("```{raw} html\nx\n```", 1),
        ("```{include} x.md\n```", 1),
        ("```{eval-rst}\nx\n```", 1),
        ("It is {{ accuracy }} here.", 1),
        ("{{ accuracy }}", 1),
        ("```{note}\n```{raw} html\nx\n```\n```", 1),
    ],
)
def test_all_text_is_where_the_rules_read_it(body, count):
    assert len(chapters.nothing_goes_unread(HERE, chapter(f"{body}\n"))) == count


def test_the_median_cell_counts_lines_that_are_not_blank():
    assert chapters.short_cells(HERE, cell("x\n\ny\n\nz\n\na\n\nb")) == []
    assert len(chapters.short_cells(HERE, cell("x\n" * 6))) == 1


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("", "", 0),
        ("torch.set_num_threads(1)", "", 1),
        ("device = default_device()", "device = torch.device('cpu')", 1),
        ("device = default_device()", "default_device", 1),
        ("import default_device", "import default_device as dd", 1),
        ("set_num_threads(1)", "set_num_threads()", 1),
        ("set_num_threads(1)", "set_num_threads(2)", 1),
    ],
)
def test_the_first_cell_sets_threads_and_device(old, new, count):
    later = cell("torch.set_num_threads(1)\ndefault_device()")
    assert len(chapters.first_cell_sets_up(HERE, chapter(later).replace(old, new, 1))) == count


def test_a_chapter_without_cells_is_no_chapter():
    assert chapters.first_cell_sets_up(HERE, HEADER + "# Title\n")


@pytest.mark.parametrize(
    ("tag", "body", "is_fine"),
    [
        ("remove-cell", 'glue("a", x)\nglue("b", y)', True),
        ("remove-input", 'glue("a", x)', True),
        ("hide-input", "x = 1", True),
        ("remove-cell", 'x = 1\nglue("a", x)', False),
        ("remove-input", "show_grid(x)", False),
    ],
)
def test_what_is_hidden_only_glues(tag, body, is_fine):
    for options in (f":tags: [{tag}]\n", f"---\ntags: [{tag}]\n---\n"):
        assert (chapters.nothing_is_hidden(HERE, chapter(cell(body, options))) == []) == is_fine


PLOT = "import matplotlib.pyplot as plt"
DESCRIBED = "---\nmystnb:\n  figure: {caption: Two., name: fig-two}\n  image: {alt: Two lines.}\n---\n"
COLONS = ":mystnb:\n:  figure: {caption: Two., name: fig-two}\n:  image: {alt: Two lines.}\n"


@pytest.mark.parametrize(
    ("body", "is_drawing"),
    [
        ("show_grid(x)", True),
        ("figure = show_grid(x)", True),
        (f"{PLOT}\nplt.plot(x)", True),
        ("from matplotlib import pyplot as plt\nfig, ax = plt.subplots()", True),
        ("plt.plot(x)", True),
        ("def f():\n    show_grid(x)", False),
        ("def f():\n    show_grid(x)\n\nf()", True),
        (f"{PLOT}\nplt.close('all')", False),
        ("from tricks_lib.plots.style import figure\ndrawing, axes = figure()", True),
        ("spread(x)", False),
    ],
)
def test_a_cell_that_draws_is_described(body, is_drawing):
    assert bool(chapters.drawings_are_described(HERE, chapter(cell(body)))) == is_drawing
    for options in (DESCRIBED, COLONS):
        assert chapters.drawings_are_described(HERE, chapter(cell(body, options))) == []


def test_a_cell_that_says_it_makes_a_figure_says_all_of_it():
    options = DESCRIBED.replace("alt: Two lines.", "")
    assert len(chapters.drawings_are_described(HERE, chapter(cell("x", options)))) == 1


def test_a_function_of_the_chapter_that_draws_makes_later_cells_draw():
    text = chapter(cell("def f(x):\n    show_grid(x)"), cell("f(x)"))
    assert lines(chapters.drawings_are_described(HERE, text)) == [line_of(text, "f(x)\n```") - 1]


@pytest.mark.parametrize("missing", ["caption: Two.", "name: fig-two", "{alt: Two lines.}"])
def test_caption_name_and_alternative_are_all_needed(missing):
    found = chapters.drawings_are_described(
        HERE, chapter(cell("show_grid(x)", DESCRIBED.replace(missing, "").replace("{, ", "{")))
    )
    assert len(found) == 1


@pytest.mark.parametrize("options", ["---\nmystnb: [\n---\n", "---\nmystnb:\n---\n", "---\nmystnb: 3\n---\n"])
def test_broken_options_are_no_description(options):
    assert chapters.drawings_are_described(HERE, chapter(cell("show_grid(x)", options)))


@pytest.mark.parametrize(
    ("markdown", "count"),
    [
        ("![A cat.](cat.png)", 0),
        ("![](cat.png)", 1),
        ("- in a list ![](cat.png)", 1),
        ("```{figure} cat.png\n:alt: A cat.\n\nCaption.\n```", 0),
        ("```{figure} cat.png\n\nCaption.\n```", 1),
        (":::{image} cat.png\n:alt:\n:::", 1),
        ("::::{note}\n:::{image} cat.png\n:::\n::::", 1),
        ('<img src="cat.png" alt="A cat.">', 0),
        ('<img src="cat.png">', 1),
        ('<img src="cat.png" alt=" ">', 1),
        ('text <img src="cat.png"> more', 1),
        ("`![](cat.png)`", 0),
    ],
)
def test_every_picture_says_what_it_shows(markdown, count):
    assert len(chapters.figures_have_alternatives(HERE, f"# Title\n\n{markdown}\n")) == count


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("open('a.txt')", 1),
        ("from pathlib import Path\nPath('a.txt').read_text()", 1),
        ("import numpy as np\nnp.load('a.npy')", 1),
        ("import numpy as np\nnp.load(path)", 0),
        (f"{PLOT}\nplt.show()", 1),
        ("plt.show()", 1),
        ("fig.show_all()", 0),
    ],
)
def test_chapters_read_no_files_and_show_nothing(body, count):
    assert len(chapters.reads_and_shows_nothing_itself(HERE, chapter(cell(body)))) == count


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ('seeds("data/looking", "train", 8)', 0),
        ('seeds("looking", "train", 8)', 1),
        ("seeds(name, 'train', 8)", 1),
        ("seeds(chapter='data/looking', stream='train', n=8)", 1),
        ("other.seeds('x')", 0),
    ],
)
def test_seeds_bear_the_name_of_the_chapter(body, count):
    assert len(chapters.seeds_are_its_own(HERE, chapter(cell(body)))) == count


@pytest.mark.parametrize(
    ("markdown", "count"),
    [
        ("(trick-d03)=\n## Mean image", 0),
        ("(trick-d03)=\n(other)=\n## Mean image", 1),
        ("(trick-d03)=\n\nMean image", 1),
        ("(trick-d03)=\n## A\n\n(trick-d03)=\n## B", 1),
        ("(trick-d99)=\n## A", 1),
        ("(other)=\n\nText", 0),
        ("(trick-d03)=", 1),
    ],
)
def test_anchors_of_tricks_stand_once_above_a_heading(markdown, count):
    anchors = frozenset({"trick-d03"})
    assert len(chapters.anchors_are_registered(HERE, f"# Title\n\n{markdown}\n", anchors)) == count


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("", "", 0),
        (":label: ex-a\n", "", 2),  # no label, and nothing solves it
        (":class: dropdown\n", "", 1),
        (":::{exercise-end}\n:::\n", "", 1),
        (":::{solution-end}\n:::\n", "", 1),
        ("{solution-start} ex-a", "{solution-start} ex-b", 1),
    ],
)
def test_exercises_have_labels_ends_and_folded_solutions(old, new, count):
    assert len(chapters.exercises_have_solutions(HERE, EXERCISES.replace(old, new, 1))) == count


def test_three_exercises_are_needed_in_either_syntax():
    plain = "".join(
        f"```{{exercise}} Name\n:label: ex-{n}\n\nDo.\n```\n\n"
        f"```{{solution}} ex-{n}\n:class: dropdown\n\nDone.\n```\n\n"
        for n in "abc"
    )
    assert chapters.exercises_have_solutions(HERE, plain) == []
    assert len(chapters.exercises_have_solutions(HERE, plain.split("```{exercise} Name\n:label: ex-c")[0])) == 1


@pytest.mark.parametrize(
    ("section", "count"),
    [
        (TAKEAWAYS, 0),
        (TAKEAWAYS.replace("Key takeaways", "Summary"), 1),
        (TAKEAWAYS.replace("- And more ([measured](#card-d03-constant)).\n", ""), 1),
        (TAKEAWAYS + "- Four, with [link](#card-d03-constant).\n- Five [x](#d03-constant).\n", 0),
        (TAKEAWAYS + "- [x](#d03-constant)\n" * 3, 1),
        (TAKEAWAYS.replace("#card-d03-constant", "#card-d03-constants"), 2),
        (TAKEAWAYS.replace("#card-d03-constant", "#d03"), 2),
        (
            TAKEAWAYS.replace("- And", "- Of [x](#d03-constant)\n  - And").replace(
                " ([measured](#card-d03-constant)).\n\n", "\n"
            ),
            0,
        ),
        (TAKEAWAYS + "\n## More\n\n- No takeaway.\n", 0),
    ],
)
def test_takeaways_are_three_to_five_and_link_to_claims(section, count):
    assert len(chapters.takeaways_name_claims(HERE, chapter(CLAIM, section))) == count


def test_a_chapter_without_claims_has_takeaways_without_claims():
    assert len(chapters.takeaways_name_claims(HERE, chapter(TAKEAWAYS))) == 3


def test_the_code_of_a_chapter_keeps_its_lines():
    text = chapter(cell("x = 1\ny = 2", "---\ntags: [a]\n---\n"), cell("%magic"), cell("z = 3"))
    module = pages.code(text).splitlines()
    for needle in ("x = 1", "y = 2", "z = 3"):
        assert module[line_of(text, needle) - 1] == needle
    assert "%magic" not in module


def test_syntax_extensions_are_those_of_the_book():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    assert set(config["parse"]["myst_enable_extensions"]) == pages.EXTENSIONS


def test_names_are_followed_through_imports():
    module = ast.parse(
        "import torch.nn.functional as F\nfrom torch import nn\nimport numpy as np\nF.relu(nn.Linear(np.a.b()))"
    )
    assert [name for _, name in code.calls(module)] == ["torch.nn.functional.relu", "torch.nn.Linear", "numpy.a.b"]
