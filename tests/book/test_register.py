"""The register agrees with itself, the chapters, the library, the tests and the bibliography; each check can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tools import register
from tools.register import IDS, Register, Trick

ROOT = Path(__file__).resolve().parents[2]
CHECKS = [register.written, register.anchors, register.mapped, register.modules, register.names]
CHECKS += [register.claims, register.sources, register.triples, register.constants]

RAW = """
infrastructure: [tricks_lib.device, tricks_lib.plots.*]
constants:
  everywhere: {"95 %": level of every interval}
  book/data/looking.md: {"28x28": pixels of an image}
tricks:
  - id: D01
    part: Data
    chapter: data/looking
    name: Look
    anchor: trick-d01
    measures: pixels
    symbols: [tricks_lib.data.looking.spread]
    claims: [d01-constant]
    "null": noise
    cost: one pass
    hurts: [d01-constant]
    sources: [lecun1998]
  - {id: D05, part: Data, chapter: data/normalization, name: Rescale, anchor: trick-d05, measures: speed}
"""
CHAPTER = """
# Looking

(trick-d01)=
## Look

Images of 28 x 28 pixels.

In 1998 {cite}`lecun1998`. The digits are older.

The 95 % interval.

```{code-cell} ipython3
from tricks_lib.experiment.claims import claim

claim("d01-constant", "Some are constant.", x)
```
"""
FILES = {
    "book/index.md": "Something is strange\n: [Look](#trick-d01).\n",
    "book/data/looking.md": CHAPTER,
    "book/references.bib": "@article{lecun1998,\n  title = {LeNet},\n}\n",
    "tricks_lib/__init__.py": "",
    "tricks_lib/device.py": '__all__ = ["default_device"]\n',
    "tricks_lib/data/looking.py": '__all__ = ["spread"]\n\n\ndef spread():\n    pass\n',
    "tricks_lib/plots/images.py": "__all__ = []\n",
    "tricks_lib/plots/_private.py": "",
    "tests/data/test_looking.py": "",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path / name, text)
    return tmp_path


@pytest.fixture
def book() -> Register:
    return register.read(yaml.safe_load(RAW))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf8")


def changed(book: Register, **fields: object) -> Register:
    """Return the register with other fields in its first trick."""
    return replace(book, tricks=(replace(book.tricks[0], **fields), *book.tricks[1:]))


# ------------------------------------------------------------------------------------------------- the project


@pytest.fixture(scope="module")
def real() -> Register:
    return register.load(ROOT / register.PATH)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_register_agrees_with_the_project(check, real):
    assert check(real, ROOT) == []


def test_the_register_agrees_with_itself(real):
    assert register.identities(real) == []


def test_the_symbols_of_the_register_can_be_imported(real):
    assert register.symbols(real) == []


def test_there_are_114_tricks_with_the_ids_that_they_were_given(real):
    assert len(real.tricks) == 114
    assert sorted(trick.id for trick in real.tricks) == sorted(IDS)
    assert (IDS[0], IDS[25], IDS[26], IDS[58], IDS[59], IDS[109], IDS[110], IDS[113]) == (
        "D01", "D26", "M01", "M33", "L01", "L51", "C01", "C04",
    )  # fmt: skip


def test_the_tricks_of_a_chapter_stand_together(real):
    chapters = [trick.chapter for trick in real.tricks]
    blocks = [chapter for n, chapter in enumerate(chapters) if n == 0 or chapters[n - 1] != chapter]
    assert len(blocks) == len(set(blocks))


def test_problems_runs_every_check(real, monkeypatch):
    checks = ["identities", "symbols", *(check.__name__ for check in CHECKS)]
    for name in checks:
        monkeypatch.setattr(register, name, lambda *_, name=name: [name])
    assert sorted(register.problems(real, ROOT)) == sorted(checks)


# ------------------------------------------------------------------------------------------------- planted faults


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_small_project_has_no_problem(check, book, project):
    assert check(book, project) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "D02"}, "anchor"),
        ({"anchor": "trick-d1"}, "anchor"),
        ({"anchor": "d01"}, "anchor"),
        ({"part": "Model"}, "part"),
        ({"part": "Toys", "chapter": "toys/looking"}, "part"),
        ({"chapter": "model/looking"}, "part"),
        ({"chapter": "looking"}, "part"),
        ({"chapter": "data/Looking"}, "part"),
    ],
)
def test_a_trick_at_odds_with_itself_is_found(fields, message, book):
    before = [line for line in register.identities(book) if "missing" not in line]
    found = [line for line in register.identities(changed(book, **fields)) if "missing" not in line]
    assert before == []
    assert len(found) == 1
    assert message in found[0]


def test_a_missing_a_doubled_and_a_strange_id_are_found(real):
    first, *rest = real.tricks
    assert register.identities(replace(real, tricks=tuple(rest))) == ["D01: missing, and ids are for ever"]
    assert register.identities(replace(real, tricks=(first, first, *rest))) == ["D01: more than once"]
    strange = replace(first, id="D27", anchor="trick-d27")
    assert register.identities(replace(real, tricks=(*real.tricks, strange))) == [
        "D27: not in the list of ids, tools/register.py"
    ]


def test_a_written_trick_needs_its_chapter_and_a_chapter_its_tricks(book, project):
    planned = Trick("D05", "Data", "data/looking", "Rescale", "trick-d05", "speed")
    assert len(register.written(replace(book, tricks=(book.tricks[0], planned)), project)) == 1
    assert len(register.written(changed(book, chapter="data/gone"), project)) == 1


@pytest.mark.parametrize("anchor", ["(trick-d02)=", "(trick-d01) =", "text (trick-d01)= text", "(trick-d010)="])
def test_a_chapter_without_the_anchor_of_its_trick_is_found(anchor, book, project):
    write(project / "book/data/looking.md", CHAPTER.replace("(trick-d01)=", anchor))
    assert len(register.anchors(book, project)) == 1


def test_a_trick_that_the_first_page_does_not_lead_to_is_found(book, project):
    write(project / "book/index.md", "Something is strange\n: [Look](#trick-d010).\n")
    assert register.mapped(book, project) == ["D01: book/index.md does not lead to it"]


@pytest.mark.parametrize(
    ("symbol", "is_public"),
    [
        ("tricks_lib.device.default_device", True),
        ("tricks_lib.device.gone", False),
        ("tricks_lib.device.torch", False),
        ("tricks_lib.gone.default_device", False),
        ("default_device", False),
        ("torch.zeros", False),
    ],
)
def test_a_symbol_is_a_public_name_of_a_module(symbol, is_public, book):
    assert (register.symbols(changed(book, symbols=(symbol,))) == []) == is_public


def test_a_module_of_nobody_and_a_listed_one_that_is_gone_are_found(book, project):
    write(project / "tricks_lib/data/strange.py", "")
    write(project / "tricks_lib/data/looking_more.py", "")
    assert register.modules(book, project) == [
        "tricks_lib.data.looking_more: neither of a chapter nor under infrastructure",
        "tricks_lib.data.strange: neither of a chapter nor under infrastructure",
    ]
    for name in ("data/strange", "data/looking_more", "plots/images"):
        (project / f"tricks_lib/{name}.py").unlink()
    assert register.modules(book, project) == ["infrastructure: no module tricks_lib.plots.*"]


def test_a_chapter_may_have_a_package(book, project):
    (project / "tricks_lib/data/looking.py").unlink()
    write(project / "tricks_lib/data/looking/pca.py", '__all__ = ["PCA"]')
    write(project / "tricks_lib/data/looking/__init__.py", "")
    assert register.modules(book, project) == register.triples(book, project) == []
    assert register.names(book, project) == [f"tricks_lib.data.looking.pca.PCA: of no trick in {register.PATH}"]


def test_a_public_name_of_no_trick_is_found(book, project):
    write(project / "tricks_lib/data/looking.py", '__all__ = ["spread", "more"]')
    write(project / "tricks_lib/device.py", '__all__ = ["default_device", "infrastructure_is_free"]')
    assert register.names(book, project) == [f"tricks_lib.data.looking.more: of no trick in {register.PATH}"]


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ('claim("d01-constant"', 'claim("d01-other"', 2),  # one is not registered, the other not made
        ('claim("d01-constant"', "claim(name", 2),  # not a plain string, and the registered one is not made
        ('claim("d01-constant", "Some are constant.", x)', "1", 1),
        ('claim("d01', 'claim("d01-constant", "Again.", x)\nclaim("d01', 1),
        ("from tricks_lib.experiment.claims import claim", "from elsewhere import claim", 1),
    ],
)
def test_claims_that_differ_from_the_registered_ones_are_found(old, new, count, book, project):
    assert old in CHAPTER
    write(project / "book/data/looking.md", CHAPTER.replace(old, new))
    assert len(register.claims(book, project)) == count


def test_another_page_may_go_on_with_a_trick(book, project):
    more = changed(book, more=("data/more",), claims=("d01-constant", "d01-more"))
    assert len(register.claims(more, project)) == 1  # it is not there yet
    page = CHAPTER.replace("d01-constant", "d01-more").replace("(trick-d01)=\n", "")
    write(project / "book/data/more.md", page)
    assert register.claims(more, project) == register.sources(more, project) == []
    assert len(register.claims(changed(more, more=()), project)) == 1  # made where the trick does not say
    write(project / "book/data/more.md", page.replace("d01-more", "d01-constant"))
    assert len(register.claims(more, project)) == 2  # made twice, and one not made


def test_a_claim_that_is_to_show_when_it_hurts_must_exist(book, project):
    (found,) = register.claims(changed(book, hurts=("d01-constant", "d01-gone")), project)
    assert "d01-gone" in found


def test_a_claim_that_bears_the_id_of_another_trick_is_found(book, project):
    write(project / "book/data/looking.md", CHAPTER.replace("d01-constant", "d02-constant"))
    assert len(register.claims(changed(book, claims=("d02-constant",), hurts=()), project)) == 1


def test_a_source_that_the_bibliography_or_the_chapter_lacks_is_found(book, project):
    assert len(register.sources(changed(book, sources=("lecun1998", "gone")), project)) == 2
    write(project / "book/references.bib", "% @article{lecun1998,\n@book{lecun1998more,\n}\n")
    assert register.sources(book, project) == ["D01: source lecun1998 is not in book/references.bib"]
    (project / "book/references.bib").unlink()
    assert len(register.sources(book, project)) == 1
    write(project / "book/references.bib", FILES["book/references.bib"])
    write(project / "book/data/looking.md", CHAPTER.replace("`lecun1998`", "`lecun1998gradient`"))
    assert register.sources(book, project) == ["D01: source lecun1998 is not cited in its chapter"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("book/data/looking.md", "no chapter"),
        ("tricks_lib/data/looking.py", "no module"),
        ("tests/data/test_looking.py", "no tests"),
    ],
)
def test_chapter_module_and_test_come_together(file, message, book, project):
    (project / file).unlink()
    (found,) = register.triples(book, project)
    assert message in found


def test_a_chapter_without_symbols_needs_no_module(book, project):
    for file in ("tricks_lib/data/looking.py", "tests/data/test_looking.py"):
        (project / file).unlink()
    assert register.triples(changed(book, symbols=()), project) == []


@pytest.mark.parametrize(
    ("constants", "count"),
    [
        ({}, 0),
        ({"everywhere": {"95%": "level"}}, 0),
        ({"book/data/looking.md": {"28 x 28": "pixels"}}, 0),
        ({"book/data/looking.md": {"28x28": "pixels", "28 x 28": "pixels"}}, 1),
        ({"book/data/looking.md": {"29x29": "pixels"}}, 1),
        ({"book/data/looking.md": {"1998": "a year, but it is cited"}}, 1),
        ({"book/data/gone.md": {"28x28": "pixels"}}, 1),
        ({"everywhere": {"99 %": "level"}}, 1),
    ],
)
def test_a_constant_is_needed_on_its_page(constants, count, book, project):
    assert len(register.constants(replace(book, constants=constants), project)) == count


def test_a_page_may_say_its_own_constants_and_those_for_all(book):
    assert book.constants_of("book/data/looking.md") == {"28x28", "95%"}
    assert book.constants_of("book/index.md") == {"95%"}


# ------------------------------------------------------------------------------------------------- the form


def test_the_form_of_the_small_register_is_right():
    assert register.schema(yaml.safe_load(RAW)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"null": noise', "null: noise", "in quotes"),
        ('    "null": noise\n', "", "all six"),
        ("name: Look\n", "name: Look\n    shade: red\n", "unknown"),
        ("    measures: pixels\n", "", "no measures"),
        ("name: Look\n", "name: 5\n", "text"),
        ('"null": noise', '"null": " "', "text"),
        ("claims: [d01-constant]", "claims: d01-constant", "list"),
        ("claims: [d01-constant]", "claims: []", "at least one"),
        ("sources: [lecun1998]", "sources: []", "at least one"),
        ("hurts: [d01-constant]", "hurts: []", "one that shows when it hurts"),
        ("cost: one pass", "cost: 3", "cost must be text"),
        ("symbols: [tricks_lib.data.looking.spread]", "symbols: [5]", "list"),
        ('{"28x28": pixels of an image}', "{28: width}", "quoted"),
        ('{"28x28": pixels of an image}', '{"28x28": }', "reason"),
        ('{"28x28": pixels of an image}', '["28x28"]', "reason"),
        ("infrastructure: [tricks_lib.device, tricks_lib.plots.*]", "infrastructure: tricks_lib", "lists"),
        ("infrastructure: [tricks_lib.device, tricks_lib.plots.*]", "infrastructure: [5]", "module names"),
        ("infrastructure:", "structure:", "keys"),
    ],
)
def test_a_register_out_of_form_is_refused(old, new, message, tmp_path):
    assert old in RAW
    write(tmp_path / "tricks.yml", RAW.replace(old, new))
    with pytest.raises(ValueError, match=message):
        register.load(tmp_path / "tricks.yml")


def test_symbols_may_be_none_in_a_chapter_that_implements_nothing():
    raw = yaml.safe_load(RAW.replace("symbols: [tricks_lib.data.looking.spread]", "symbols: []"))
    assert register.schema(raw) == []


def test_a_key_given_twice_is_refused(tmp_path):
    write(tmp_path / "tricks.yml", RAW.replace('{"28x28": pixels of an image}', '{"28x28": a, "28x28": b}'))
    with pytest.raises(yaml.YAMLError, match="twice"):
        register.load(tmp_path / "tricks.yml")


def test_a_loaded_register_holds_what_the_file_says(tmp_path):
    write(tmp_path / "tricks.yml", RAW)
    loaded = register.load(tmp_path / "tricks.yml")
    look, rescale = loaded.tricks
    assert (look.claims, look.null, look.is_written, rescale.is_written) == (("d01-constant",), "noise", True, False)
    assert rescale.module == "tricks_lib.data.normalization"


def test_a_module_may_come_before_its_chapter_and_is_told_when_the_chapter_is_there(tmp_path):
    book = register.load(ROOT / register.PATH)
    assert "tricks_lib.learning.optimizers" in book.infrastructure
    assert not [line for check in (register.names, register.triples) for line in check(book, ROOT)]
    bare = replace(book, infrastructure=tuple(one for one in book.infrastructure if "optimizers" not in one))
    assert any("optimizers.SGD: of no trick" in line for line in register.names(bare, ROOT))
    assert "tricks_lib/learning/optimizers: no chapter book/learning/optimizers.md" in register.triples(bare, ROOT)
    for name in ("tricks_lib/learning/optimizers.py", "book/learning/optimizers.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('__all__ = ["SGD"]\n' if name.endswith(".py") else "# Optimizers\n")
    late = "infrastructure: tricks_lib.learning.optimizers has its chapter now"
    assert late in register.modules(book, tmp_path)
