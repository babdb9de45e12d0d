"""The rule on typed numbers: where it looks, what it takes for a number, what it passes over."""

from __future__ import annotations

import textwrap

import pytest

from tests.book.sample_project import HERE, cell, chapter, line_of
from tools.rules import prose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no number", []),
        ("Right in 93 % of 60,000 cases, -0.3 on average.", ["93 %", "60,000", "-0.3"]),
        ("10x faster, 3 times, 1.5\u00d7 slower, x30", ["10x", "3 times", "1.5\u00d7", "x30"]),
        ("28x28 pixels, 28 \u00d7 28", ["28x28", "28 \u00d7 28"]),
        ("1e-5 and 1/3 and .5 and 10⁻³ and ½", ["1e-5", "1/3", ".5", "10⁻³", "½"]),
        ("p<0.05, n=32, (1.5)", ["0.05", "32", "1.5"]),
        ("3-5 of 10-20 %, 2-D, 5k, 60s", ["3", "5", "10", "20 %", "2", "5", "60"]),
        ("93percent, 93 percent", ["93percent", "93 percent"]),
        ("1 000 000 and 60\u202f000", ["1 000 000", "60\u202f000"]),
        ("in 1998. Since 2018, 5, 600", ["1998", "2018", "5", "600"]),
        ("accuracy-93%, sub-0.1, MNIST-93.2", ["93%", "0.1", "93.2"]),
        ("D03, MNIST-14, AdamW2, float64, v1.4, SD-19, top-5, L2, 3rd, n500, D01-D04, ResNet-50", []),
        ("x, \u00d7, times, -, %", []),
        ("\u0663 of \uff19\uff13", ["\u0663", "\uff19\uff13"]),  # digits of other scripts
    ],
)
def test_numbers_are_found_and_names_are_not(text, expected):
    assert prose.numbers(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("60,000", "60 000"),
        ("60,000", "60000"),
        ("93 %", "93%"),
        ("93 percent", "93 %"),
        ("28 \u00d7 28", "28x28"),
        ("3 times", "3x"),
        ("\u22120.3", "-0.3"),
    ],
)
def test_one_number_has_one_canonical_form(one, other):
    assert prose.canonical(one) == prose.canonical(other)


@pytest.mark.parametrize(("one", "other"), [("93", "93 %"), ("0.3", "-0.3"), ("3", "3x"), ("1.5", "15")])
def test_different_numbers_have_different_forms(one, other):
    assert prose.canonical(one) != prose.canonical(other)


READ = {
    "paragraph": "A 93 b.",
    "heading": "## Title 93",
    "list": "- a\n  - b 93",
    "numbered list": "1. a\n2. b 93",
    "strong": "It is **93** now.",
    "quotation": "> a 93",
    "link": "[a 93](b.md)",
    "table": "| a | b |\n|---|---|\n| c | 93 |",
    "definition": "term\n: a 93",
    "footnote": "Text.[^a]\n\n[^a]: Of 93.",
    "admonition": "```{note}\nA 93.\n```",
    "title of an admonition": "```{admonition} Of 93\nBody.\n```",
    "colon fence": ":::{tip}\nA 93.\n:::",
    "nested": "::::{note}\n:::{dropdown} Title\nA 93.\n:::\n::::",
    "exercise": "```{exercise} Name\n:label: ex-5\n\nA 93.\n```",
    "solution": "```{solution} ex-5\n:class: dropdown\n\nA 93.\n```",
    "gated exercise": ":::{exercise-start} Do 93\n:label: ex-5\n:::",
    "caption": "```{figure} a5.png\n:alt: A cat.\n\nA 93.\n```",
    "alternative": "```{figure} a5.png\n:alt: Of 93 cats.\n```",
    "alternative in Markdown": "![Of 93 cats.](a5.png)",
    "caption of a listing": "```{code-block} python\n:caption: A 93.\n\nx = 5\n```",
    "list table": "```{list-table} Title\n:widths: 5 5\n\n* - a\n  - 93\n```",
    "formula that is a number": "A $93\\,\\%$ b.",
    "formula that is about a number": "A $\\approx 93$ b.",
    "formula of a role with a title": "{ref}`the 93 <sec-5>`",
    "HTML": "<div>93</div>",
    "alternative in HTML": '<img src="5.png" alt="93 cats">',
    "caption of a cell": cell("x = 5", "---\nmystnb:\n  figure:\n    caption: A 93.\n    name: fig-5\n---\n"),
    "alternative of a cell": cell("x = 5", "---\nmystnb:\n  image:\n    alt: Of 93.\n---\n"),
    "alternative of a cell, colons": cell("x = 5", ":mystnb:\n:  image: {alt: Of 93.}\n"),
    "after a comment": "% comment\n\nA 93.",
    "word before": "see93 and 93",
    "cited in the next paragraph": "A 93.\n\nSee {cite}`a`.",
    "cited in another row": "| a | b |\n|---|---|\n| c | 93 |\n| d | {cite}`a` |",
    "entity": "A &#57;3.",
}
NOT_READ = {
    "glued": "A {glue:text}`a5:.1f` b.",
    "cited": "A 93 {cite:p}`lecun1998` b.",
    "cited two lines on": "A 93 b\nc\n{cite:t}`lecun1998`.",
    "cited in the row": "| a | b |\n|---|---|\n| 93 | {cite}`a` |",
    "cited caption": "```{figure} a5.png\n:alt: A cat.\n\nA 93 {cite}`a`.\n```",
    "cited caption of a cell": cell("x = 5", "---\nmystnb:\n  figure:\n    caption: A 93 {cite}`a`.\n---\n"),
    "inline code": "A `93` b.",
    "code": "```python\nx = 93\n```",
    "cell": cell("x = 93"),
    "listing": "```{code-block} python\n:emphasize-lines: 5\n\nx = 93\n```",
    "formula": "A $x = 93$ b $\\mathcal{N}(0, 1)$.",
    "display formula": "$$\n93\n$$ (eq-5)",
    "display formula of LaTeX": "\\begin{align}\nx &= 93\n\\end{align}",
    "math directive": "```{math}\n:label: eq-5\n93\n```",
    "role": "{ref}`sec-5`, {eq}`eq-5`, {numref}`fig-5`, {doc}`a5`",
    "target of a link": "[a](b5.md#c5)",
    "bare link": "<https://doi.org/10.5281/5>",
    "target": "(sec-5)=\n## Title",
    "comment": "% 93\n\ntext",
    "comment in HTML": "<!-- 93 -->",
    "size of a picture": "```{image} a5.png\n:alt: A cat.\n:width: 50%\n```",
    "grid": "::::{grid} 1 2 2 3\n:gutter: 2\n\n:::{grid-item}\nA.\n:::\n::::",
    "implementation": "```{implementation} tricks_lib.data.v5.PCA\n```",
    "eval-rst": "```{eval-rst}\n.. note:: 93\n```",
    "table of contents": "```{toctree}\n:maxdepth: 2\na5\n```",
    "front matter": "---\nx: 93\n---\n\ntext",
}


@pytest.mark.parametrize("where", READ)
def test_a_number_is_seen_where_a_reader_sees_it(where):
    assert [prose.canonical(number).strip("%x") for _, number in prose.typed_numbers(READ[where] + "\n")] == ["93"]


@pytest.mark.parametrize("where", NOT_READ)
def test_a_number_is_not_seen_in_code_formulas_and_targets(where):
    assert prose.typed_numbers(NOT_READ[where] + "\n") == []


def test_numbers_are_reported_on_their_line():
    text = textwrap.dedent(
        """\
        # Title

        A
        b 7
        c

        | a |
        |---|
        | 9 |

        :::{note}
        :class: x

        A
        b 14

        ```{tip}
        d 17
        ```
        :::

        ```{code-cell} ipython3
        ---
        mystnb:
          figure:
            caption: A 26
        ---
        x
        ```

        - e
          - f 32
        """
    )
    expected = {number: line_of(text, f" {number}") for number in ("7", "9", "14", "17", "26", "32")}
    assert {number: line for line, number in prose.typed_numbers(text)} == expected


def test_registered_numbers_may_be_typed_in_any_spelling():
    text = "Images of 28 \u00d7 28 pixels, 60 000 of them.\n"
    assert len(prose.no_typed_number(HERE, text)) == 2
    assert prose.no_typed_number(HERE, text, frozenset({"28x28", "60000"})) == []


@pytest.mark.parametrize(
    ("sentence", "margin", "count"),
    [
        ("It helps.", 0.05, 0),
        ("It helps by more than 5 %.", 0.05, 0),
        ("It helps by more than 5 points.", 5, 0),
        ("It helps by more than 0.05.", 0.05, 0),
        ("It helps by more than 6 %.", 0.05, 1),
        ("It helps 3 times as much.", 0.05, 1),
        ("It takes 0 steps.", 0, 1),
    ],
)
def test_a_claim_says_no_number_but_its_margin(sentence, margin, count):
    text = chapter(cell(f'claim("d03-a", "{sentence}", x, regime="a5", margin={margin})'))
    assert len(prose.no_number_in_a_claim(HERE, text)) == count
    said = {prose.canonical(number) for number in prose.numbers(sentence)}
    assert prose.no_number_in_a_claim(HERE, text, frozenset(said)) == []


def test_the_sentence_of_a_claim_is_read_however_it_is_passed():
    for arguments in ('"d03-a", f"{n} of 93"', 'id="d03-a", sentence="All 93"', '"d03-a", "A " "93"'):
        assert len(prose.no_number_in_a_claim(HERE, chapter(cell(f"claim({arguments})")))) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [("`93.1` %", 1), ("`93 %`", 1), ("`.5`", 1), ("`255`", 0), ("`x / 2.5`", 0), ("{math}`93.1`", 1)],
)
def test_a_result_in_disguise_is_a_number(text, count):
    assert len(prose.typed_numbers(chapter(f"It is {text} here.\n"))) == count
