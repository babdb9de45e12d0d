"""The build turns red when it must.  Each test breaks a small book and runs the real `make` on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book._ext.book_launch import links

ROOT = Path(__file__).resolve().parents[2]
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
CHAPTER = (
    HEADER
    + """
# A small chapter

(trick-d01)=
## One trick

```{code-cell} ipython3
from tricks_lib.experiment.claims import claim
from tricks_lib.experiment.numbers import glue
from tricks_lib.experiment.seeding import seeds
from tricks_lib.experiment.statistics import paired

gain = [1 + seed % 999_983 / 10**9 for seed in seeds("data/small", "train", 32)]
glue("gain", gain[0])
```

The first gain is {glue:text}`gain:.2f`.

(claim-d01-gain)=
```{code-cell} ipython3
claim("d01-gain", "The arm gains.", paired(gain, [0.0] * 32), margin=0.5, unit="points", regime="made up")
```
"""
)
TOC = "format: jb-book\nroot: book/index\nparts:\n  - caption: Data\n    chapters:\n      - file: book/data/small\n"


class Book:
    """A copy of the build machinery with one small chapter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, *targets: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run make with this environment's packages and the copy's own `tricks_lib`; nothing reaches the network."""
        command = ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.ready", *targets]
        env = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        env = {name: value for name, value in env.items() if not name.startswith(("PYTEST_", "MAKE", "TRICKS_"))}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=env | more,
            text=True,
            capture_output=True,
            timeout=300,
            start_new_session=True,  # what kills the build spares the test
        )

    def fails(self, target: str, *words: str) -> None:
        """Assert that ``target`` fails and that its own message tells why."""
        run = self.make(target)
        said = run.stdout + run.stderr
        assert run.returncode != 0, f"make {target} should have failed:\n{said}"
        missing = [word for word in words if word not in said]
        assert not missing, f"make {target} does not say {missing}:\n{said}"

    def succeeds(self, target: str) -> str:
        run = self.make(target)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def would_run(self) -> str:
        """Return what the build says of the chapters it would run now."""
        command = [sys.executable, "-m", "tools.notebooks", "list"]
        return subprocess.run(command, cwd=self.folder, text=True, capture_output=True, check=True).stdout

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text("utf8")
        assert old in text, f"{name} does not hold {old!r}"
        path.write_text(text.replace(old, new, 1), "utf8")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf8")


def copy_machinery(to: Path) -> None:
    for name in ("Makefile", "_config.yml", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, to / name)
    for name in ("tools", "tricks_lib", "book/_ext", "book/_latex", "book/_static"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "history*", "db"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the small book once; the tests break copies of it."""
    book = Book(tmp_path_factory.mktemp("book"))
    copy_machinery(book.folder)
    shutil.copy(ROOT / "tests/book/poor_machine.py", book.folder / "sitecustomize.py")
    book.write("_toc.yml", TOC)
    book.write(
        "book/index.md", "# A small book\n\n```{trick-index}\n```\n\n```{run-times}\n```\n\n```{scorecard}\n```\n"
    )
    book.write("book/data/small.md", CHAPTER)
    book.write("book/references.bib", "")
    trick = "{id: D01, part: Data, chapter: data/small, name: One trick, anchor: trick-d01, claims: [d01-gain],"
    trick += " cost: one pass, hurts: [d01-gain]}"
    book.write("book/tricks.yml", f"tricks:\n  - {trick}\n")
    book.edit("pyproject.toml", 'testpaths = ["tests", "tricks_lib"]', 'testpaths = ["tests"]')
    book.write("tests/test_nothing.py", "def test_nothing():\n    pass\n")
    book.succeeds("book")
    return book.folder


@pytest.fixture
def book(built: Path, tmp_path: Path) -> Book:
    return Book(shutil.copytree(built, tmp_path / "book", symlinks=True))


def test_page_shows_the_checked_run(book: Book) -> None:
    page = (book.folder / "_build/html/book/data/small.html").read_text("utf8")
    (claim,) = json.loads((book.folder / "build/claims.json").read_text("utf8"))
    (number,) = json.loads((book.folder / "build/numbers.json").read_text("utf8"))
    times = json.loads((book.folder / "build/run_times.json").read_text("utf8"))
    assert claim["chapter"] == "book/data/small" and claim["holds"] and claim["n"] == 32
    assert claim["seconds"] > 0 and claim["margin"] == 0.5 and claim["low"] > 1
    assert "The arm gains." in page and f'The first gain is <span class="pasted-text">{number["value"]:.2f}' in page
    assert f"Run time: {times['book/data/small']['seconds']:.0f} s" in page
    index = (book.folder / "_build/html/book/index.html").read_text("utf8")
    assert "1 of 1" in index and "D01 One trick" in index
    scorecard = index.partition("claims that the build judges")[2]
    for word in (
        "The arm gains.",
        'href="data/small.html#claim-d01-gain"',
        'class="claim-bar"',
        "32 seeds",
        "one pass",
    ):
        assert word in scorecard


def test_latex_gets_the_checked_run(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("xelatex", "latexmk", "makeindex", "rsvg-convert"):  # latexmk fails, the others do nothing
        book.write(f"../{name}", "#!/bin/sh\nfalse\n" if name == "latexmk" else "#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    book.write("_build/latex/tricks-lib.log", "! LaTeX Error: File `gone.sty' not found.\n")
    book.edit("book/data/small.md", 'claim("d01-gain"', ':tags: [hide-input]\nclaim("d01-gain"')
    book.fails("pdf", "File `gone.sty' not found", "LaTeX ended with 1", "apt-get install")
    tex = (book.folder / "_build/latex/tricks-lib.tex").read_text("utf8")
    about, _, data = tex.partition(r"\bookpart{Data}")
    assert r"\chapter{About this book}" in about and r"\claimbar{bar-" in about  # which has the scorecard
    order = [
        r"\chapter{A small chapter}",
        "Run time: ",
        "{claim-holds}",
        "The arm gains.",
        r"\claimbar{bar-",
        "made up",
    ]
    places = [data.index(one) for one in order]
    assert places == sorted(places)
    assert data.count("made up") == 1  # neither the plain text of the card nor the folded code


def test_nothing_runs_again_when_nothing_changed(book: Book) -> None:
    assert "to run: none" in book.would_run()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("book/data/small.md", "The first gain is", "Here the first gain is"),
        ("tricks_lib/experiment/seeding.py", '"""', '"""Another docstring. '),
        ("tricks_lib/device.py", "return torch", "return None or torch"),
    ],
    ids=["prose", "docstring", "a module that the chapter does not import"],
)
def test_what_the_run_cannot_notice_runs_nothing(book: Book, name: str, old: str, new: str) -> None:
    book.edit(name, old, new)
    assert "to run: none" in book.would_run()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("book/data/small.md", "/ 10**9", "/ 10**8"),
        ("tricks_lib/experiment/seeding.py", "__all__ = [", '__all__ = ["new", '),
        ("constraints.txt", "torch==2.13.0", "torch==2.13.1"),
        ("book/data/grid.json", "1", "2"),
    ],
    ids=["cell", "function", "lock", "data"],
)
def test_what_the_run_can_notice_runs_it_again(book: Book, name: str, old: str, new: str) -> None:
    if name.endswith(".json"):
        path = book.folder / name
        book.write(name, "1")
        book.edit("book/data/small.md", "gain = [", f'size = open("{path}").read()\ngain = [')
        book.succeeds("notebooks")
    book.edit(name, old, new)
    assert "to run: book/data/small" in book.would_run()


def test_new_outputs_reach_the_page(book: Book) -> None:
    book.edit("tricks_lib/experiment/statistics.py", "__all__ = [", '__all__ = ["new", ')
    for name in (path for path in (book.folder / "build/executed").rglob("*.ipynb")):
        assert "The arm gains." in name.read_text("utf8")
    book.edit("tricks_lib/experiment/claims.py", "__all__ = [", 'print("said by the library")\n__all__ = [')
    book.succeeds("book")
    assert "said by the library" in (book.folder / "_build/html/book/data/small.html").read_text("utf8")


def test_new_tag_reaches_the_page_without_a_run(book: Book) -> None:
    page = book.folder / "_build/html/book/data/small.html"
    assert "tag_hide-input" not in page.read_text("utf8")
    book.edit(
        "book/data/small.md",
        "```{code-cell} ipython3\nclaim(",
        "```{code-cell} ipython3\n:tags: [hide-input]\n\nclaim(",
    )
    assert "to run: none" in book.succeeds("book")
    assert "tag_hide-input" in page.read_text("utf8")


def test_emptied_toc(book: Book) -> None:
    book.write("_toc.yml", "")
    book.fails("book", "_toc.yml names no page")


def test_missing_page(book: Book) -> None:
    book.edit("_toc.yml", "book/data/small", "book/data/smal")
    book.fails("book", "_toc.yml names pages that do not exist: book/data/smal")


def test_page_that_the_toc_forgets(book: Book) -> None:
    book.write("book/data/lost.md", "# Lost\n")
    book.fails("book", "_toc.yml does not name these pages", "book/data/lost")


def test_page_that_is_gone_leaves_the_site(book: Book) -> None:
    book.write("_build/html/book/data/gone.html", "<title>Gone</title>")
    book.succeeds("book")
    assert not (book.folder / "_build/html/book/data/gone.html").exists()


def test_damaged_run_is_run_again_and_the_shell_does_not_reach_it(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    run, numbers = book.folder / "build/executed/book/data/small.ipynb", book.folder / "build/numbers.json"
    before = numbers.read_text("utf8")
    run.write_text(run.read_text("utf8")[:300])
    for name, value in (("TRICKS_SEED", "5"), ("PYTEST_ADDOPTS", "--collect-only")):
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "tools.notebooks"]
    env = os.environ | {"PYTHONPATH": str(book.folder)}
    done = subprocess.run(command, cwd=book.folder, env=env, text=True, capture_output=True)
    assert done.returncode == 0 and "to run: book/data/small" in done.stdout, done.stdout + done.stderr
    assert numbers.read_text("utf8") == before


def test_run_whose_library_changed_meanwhile_is_not_kept(book: Book) -> None:
    touch = "import pathlib\nimport tricks_lib.device as lib\npathlib.Path(lib.__file__).touch()\n"
    book.edit("book/data/small.md", "gain = [", f"{touch}gain = [")
    book.fails("notebooks", "left no run that is theirs: book/data/small")


def test_excused_failure_is_none(book: Book) -> None:
    book.edit(
        "book/data/small.md",
        "```{code-cell} ipython3\nclaim(",
        "```{code-cell} ipython3\n:tags: [raises-exception]\n\nclaim(",
    )
    book.edit("book/data/small.md", "1 + seed", "0.1 + seed")
    book.fails("notebooks", "left no run that is theirs: book/data/small")


def test_raising_cell(book: Book) -> None:
    book.edit("book/data/small.md", "gain = [", 'raise RuntimeError("planted")\ngain = [')
    book.fails("book", "planted", "book/data/small.ipynb")


def test_claim_that_does_not_hold(book: Book) -> None:
    book.edit("book/data/small.md", "1 + seed", "0.1 + seed")
    for target in ("book", "test"):
        book.fails(target, "book/data/small", "The arm gains.", "0.5", "0.10")


def test_claim_that_is_never_shown(book: Book) -> None:
    book.edit("book/data/small.md", 'regime="made up")', 'regime="made up");')
    book.fails("book", "no cell shows", "d01-gain")


def test_page_that_sphinx_would_execute(book: Book) -> None:
    text = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n# Page\n\n```{code-cell}\nprint(1)\n```\n"
    book.write("book/data/page.md", text)
    book.edit("_toc.yml", "- file: book/data/small\n", "- file: book/data/small\n      - file: book/data/page\n")
    book.fails("book", "Sphinx would have to execute this page itself", "page.md")


def test_execution_mode_that_lets_sphinx_execute(book: Book) -> None:
    book.edit("_config.yml", "execute_notebooks: cache", "execute_notebooks: force")
    book.fails("book", "execute_notebooks must be 'cache'")


def test_faulty_page(book: Book) -> None:
    faults = {
        "![](/book/_static/favicon.svg)": "image without alternative text",
        "[there](nowhere.md)": "nowhere.md",
        "{cite:p}`nobody1900`": "nobody1900",
        "{glue:text}`nothing:.2f`": "nothing",
        "{ref}`claim-d99-none`": "claim-d99-none",
        "```{implementation} tricks_lib.device.no_such\n```": "no_such",
    }
    with (book.folder / "book/data/small.md").open("a") as page:
        page.write("\n" + "\n\n".join(faults) + "\n")
    book.fails("book", *faults.values())


def test_cell_that_writes_to_stderr(book: Book) -> None:
    book.edit("book/data/small.md", "gain = [", 'import sys\nprint("careless", file=sys.stderr)\ngain = [')
    book.fails("book", "stderr")


def test_number_that_no_seed_moves_is_found(book: Book) -> None:
    book.edit("book/data/small.md", 'glue("gain", gain[0])', 'glue("gain", 1.5)')
    book.succeeds("notebooks")
    run = book.make("claims", "SEEDS=1")
    assert run.returncode != 0 and "gain is the same under all seeds" in run.stdout, run.stdout + run.stderr


def test_a_null_that_leaves_the_effect_alone_is_found(book: Book) -> None:
    null = "NULLS = {{'D01': {{'tricks_lib.experiment.statistics.{}': lambda a, b: original(b, {})}}}}\n"
    start = "from tricks_lib.experiment.statistics import paired as original\n\n"
    for package in ("tests", "tests/data"):
        book.write(f"{package}/__init__.py", "")
    book.write("tests/data/null_small.py", start + null.format("paired", "b"))
    assert "2 runs of chapters with a trick switched off, 0 problems" in book.succeeds("null")
    book.write("tests/data/null_small.py", start + null.format("over_seeds", "a"))
    run = book.make("null", "TRICKS=D01")
    assert run.returncode != 0 and "d01-gain holds with D01 switched off" in run.stdout


def test_claims_hold_under_another_base(book: Book) -> None:
    said = book.make("claims", "SEEDS=1")
    assert said.returncode == 0 and "0 problems" in said.stdout, said.stdout + said.stderr


def test_repro_finds_a_cell_that_says_something_else(book: Book) -> None:
    assert "say the same twice" in book.succeeds("repro")
    book.edit("book/data/small.md", "gain = [", "import time\nprint(time.time())\ngain = [")
    book.fails("repro", "says something else the second time")


def test_launch_links_open_notebooks_of_the_branch_if_the_repository_is_known(book: Book) -> None:
    def launched() -> set[str]:
        pages = [path for path in (book.folder / "_build/html").rglob("*.html") if "_static" not in path.parts]
        found = [re.findall(r"""[^"'\s]*(?:colab|mybinder)[^"'\s]*""", path.read_text("utf8"), re.I) for path in pages]
        return {text for texts in found for text in texts}

    assert launched() == set()
    book.edit("pyproject.toml", 'repository = ""', 'repository = "https://github.com/example/tricks"')
    book.succeeds("book")
    notebook = "book/data/small.ipynb"
    assert {text for text in launched() if "://" in text} == {
        f"https://colab.research.google.com/github/example/tricks/blob/notebooks/{notebook}",
        f"https://mybinder.org/v2/gh/example/tricks/notebooks?urlpath=lab/tree/{notebook}",
    }
    command = [sys.executable, "-m", "tools.notebook_branch", "laid-out"]
    subprocess.run(command, cwd=book.folder, check=True)
    branch = book.folder / "laid-out"
    assert (branch / notebook).read_bytes() == (book.folder / "_build/html/_sources" / notebook).read_bytes()
    assert f"[A small chapter]({notebook}) · [Colab](https://colab" in (branch / "README.md").read_text("utf8")
    assert "tricks-lib[chapters]==" in (branch / "requirements.txt").read_text("utf8")
    again = subprocess.run(command, cwd=book.folder, text=True, capture_output=True)
    assert again.returncode == 1 and "laid-out must be empty, but for .git" in again.stderr


def test_no_links_to_where_another_host_is_not_read() -> None:
    assert links("", "book/data/small") == links("https://git.example.org/a/b", "book/data/small") == {}
    assert (
        links("https://github.com/a/b.git", "c")
        == links("https://github.com/a/b/", "c")
        == links("https://github.com/a/b", "c")
    )


PLACES = [
    r"build/executed/.*\.part$",  # what a chapter's run leaves
    r"\.jupyter_cache/.*\.ipynb$",  # its copy for Sphinx
    r"build/claims\.json\..*part$",
    r"_build/html/book/data/small\.html$",
]


@pytest.mark.parametrize("trouble", ["killed", "full disk"])
def test_a_build_cut_short_leaves_nothing_that_the_next_one_trips_over(book: Book, trouble: str) -> None:
    book.edit("book/data/small.md", "1 + seed", "2 + seed")
    claims = (book.folder / "build/claims.json").read_text("utf8")
    for place in PLACES:
        run = book.make("book", TROUBLE=trouble, TROUBLE_AT=place)
        assert run.returncode != 0 and list(book.folder.glob("trouble-*")), run.stdout + run.stderr
        for mark in book.folder.glob("trouble-*"):
            mark.unlink()
    assert book.succeeds("book").count("to run: none") == 1
    page = (book.folder / "_build/html/book/data/small.html").read_text("utf8")
    assert page.rstrip().endswith("</html>") and 'The first gain is <span class="pasted-text">2.' in page
    (claim,) = json.loads((book.folder / "build/claims.json").read_text("utf8"))
    assert claim["mean"] > 2 > json.loads(claims)[0]["mean"]


def test_an_installation_that_breaks_off_is_taken_up_again(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    python = tmp_path / "python"  # makes an environment whose pip finds no network the first time
    python.write_text("""#!/bin/sh
mkdir -p .venv/bin
cat > .venv/bin/python <<'END'
#!/bin/sh
echo "$@" >> asked
if [ ! -e network ]; then touch network; echo "no network: Could not fetch torch" >&2; exit 1; fi
END
chmod +x .venv/bin/python
""")
    python.chmod(0o755)

    def make() -> subprocess.CompletedProcess[str]:
        command = ["make", "PYTHON=./python", "VENV=.venv", ".venv/.ready"]
        return subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)

    first = make()
    assert first.returncode != 0 and "Could not fetch torch" in first.stderr
    assert not (tmp_path / ".venv/.ready").exists()
    second = make()
    assert second.returncode == 0 and (tmp_path / ".venv/.ready").exists(), second.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 5 and asked[0] == asked[1] and asked[0].endswith("-e .[dev]")  # and three for the maps
    assert make().returncode == 0 and len((tmp_path / "asked").read_text().splitlines()) == 5
