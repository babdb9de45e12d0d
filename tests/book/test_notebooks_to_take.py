"""`book/_ext/book_notebooks.py`: a page becomes a notebook that says the same and runs elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
from book_notebooks import install, notebook

BODY = r"""
<section id="one"><h1>One<a class="headerlink" href="#one">#</a></h1>
<p>It is <span class="pasted-text">4.2</span>, or <span class="math notranslate">\(a_i^* \le b\)</span>;
see <a class="reference internal" href="two.html#x">two</a> and <a href="https://example.org/a">this</a>.</p>
<div class="math notranslate" id="e"><span class="eqno">(3)<a class="headerlink" href="#e">#</a></span>\[x_i = 1\]</div>
<div class="cell docutils container"><div class="cell_input">a = 1</div>
<figure><figcaption><p><span class="caption-text">A figure</span></p></figcaption></figure></div>
<div class="highlight-python notranslate"><div class="highlight"><pre>def f(x):
    return x_1 * 2
</pre></div></div>
<div class="admonition tip"><p class="admonition-title">Look</p><p>First.</p><p>Then.</p></div>
<div class="solution dropdown admonition"><p class="admonition-title">Solution</p><section><p>Like this.</p>
<div class="cell docutils container">a + 1</div></section></div>
<table><thead><tr><th>m</th><th>n</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>
</section>"""


def run(**more: Any) -> Any:
    shown = [new_code_cell("a = 1"), new_code_cell("glue", metadata={"tags": ["remove-cell"]})]
    last = new_code_cell("a + 1", outputs=[new_output("stream", text="2")], execution_count=2)
    return new_notebook(cells=[*shown, last], metadata={"kernelspec": {"name": "python3", "display_name": "Python"}})


def test_what_the_page_says_stands_in_plain_markdown() -> None:
    made = notebook(BODY, run())
    kinds = [(cell.cell_type, cell.source.split("\n")[0]) for cell in made.cells[1:]]
    text = "\n\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert kinds[0] == ("markdown", "# One")
    assert "It is 4.2, or $a_i^* \\le b$;\nsee two and [this](https://example.org/a)." in text
    assert "$$\nx_i = 1 \\tag{3}\n$$" in text
    assert "```python\ndef f(x):\n    return x_1 * 2\n```" in text
    assert "> **Look**\n>\n> First.\n>\n> Then." in text
    assert "*A figure*" in text and "**Solution**" in text and "Like this." in text
    assert "| m | n |" in text and "#" not in text.replace("# One", "")


@pytest.mark.parametrize(
    ("version", "repository", "wanted"),
    [
        ("1.2.0", "https://example.org/a", '"tricks-lib[chapters]==1.2.0"'),
        ("1.3.0.dev0", "https://example.org/a", '"tricks-lib[chapters] @ git+https://example.org/a"'),
        ("1.3.0.dev0", "", '"tricks-lib[chapters]"'),
    ],
)
def test_the_first_cell_brings_the_version_of_the_page(version: str, repository: str, wanted: str) -> None:
    assert install(version, repository).endswith(f"%pip install -q {wanted}")


def test_exercises_and_solutions_begin_cells_and_solutions_are_folded() -> None:
    made = notebook(BODY, run())
    (said,) = (cell for cell in made.cells if "**Solution**" in cell.source)
    code = next(cell for cell in made.cells if cell.source == "a + 1")
    assert said.source.startswith("**Solution**")
    assert code.metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}


def test_what_is_cited_is_listed_once_at_the_end() -> None:
    cited = '<a href="../reference/bibliography.html#id1" title="A. Author. A paper. 1998.">Author, 1998</a>'
    made = notebook(BODY.replace("<p>First.</p>", f"<p>First [{cited}], [{cited}].</p>"), run())
    assert made.cells[-1].source == "## References\n\n- [Author, 1998] A. Author. A paper. 1998."
    assert "References" not in notebook(BODY, run()).cells[-1].source


def test_cells_come_in_order_with_their_outputs_and_hidden_ones_folded() -> None:
    code = [cell for cell in notebook(BODY, run()).cells if cell.cell_type == "code"]
    assert [cell.source for cell in code[1:]] == ["a = 1", "glue", "a + 1"]
    assert [cell.metadata.get("jupyter") for cell in code[1:]] == [
        None,
        {"source_hidden": True},
        {"source_hidden": True, "outputs_hidden": True},
    ]
    assert [cell.source for cell in notebook(BODY, run()).cells][2:5] == ["a = 1", "*A figure*", "glue"], (
        "before the text"
    )
    assert code[3].outputs[0].text == "2" and code[3].execution_count == 2


def test_links_into_the_book_are_kept_where_its_place_is_known() -> None:
    made = notebook(BODY, run(), base="https://book.example/book/data/")
    assert "[two](https://book.example/book/data/two.html#x)" in "".join(cell.source for cell in made.cells)


def test_a_page_of_another_run_is_refused() -> None:
    other = run()
    del other.cells[0]
    with pytest.raises(ValueError, match="the page shows 2 cells, its run has 1"):
        notebook(BODY, other)


def test_two_builds_are_the_same() -> None:
    assert nbformat.writes(notebook(BODY, run())) == nbformat.writes(notebook(BODY, run()))


def test_it_runs_and_brings_what_was_tuned(tmp_path: Path) -> None:
    tuned = tmp_path / "one.tuned.json"
    tuned.write_text(json.dumps({"arm": {"best": 1, "words": 'it\'s "so"'}}))
    executed = run()
    executed.cells[1].source = "import json, pathlib"
    made = notebook(BODY, executed, tuned=tuned)
    away = tmp_path / "away"
    away.mkdir()
    made.cells.append(new_code_cell("json.loads(pathlib.Path('one.tuned.json').read_text())"))
    NotebookClient(made, resources={"metadata": {"path": str(away)}}).execute()
    assert eval(made.cells[-1].outputs[0]["data"]["text/plain"]) == json.loads(tuned.read_text())
