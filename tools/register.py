"""The register, book/tricks.yml, and the checks that hold it against chapters, library, tests and bibliography.

A check is a function of a loaded register, and of the project's root where it looks at files, that returns messages.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tools.rules.chapters import claim_ids
from tools.rules.code import public_names
from tools.rules.prose import canonical, claimed_numbers, typed_numbers

__all__ = ["IDS", "PATH", "Register", "Trick", "load", "problems", "read", "schema"]

PATH = "book/tricks.yml"
MAP = "book/index.md"
PARTS = ("Data", "Model", "Learning", "Practice")
# An id is for ever: links and claims name it.  A new trick takes the next number, a dropped one leaves a gap.
IDS = [f"{letter}{n:02}" for letter, last in (("D", 26), ("M", 33), ("L", 51), ("C", 4)) for n in range(1, last + 1)]
EVERYWHERE = "everywhere"
REQUIRED = {"id", "part", "chapter", "name", "anchor", "measures"}
WRITTEN = {"symbols", "claims", "null", "cost", "hurts", "sources"}
LISTS = {"symbols", "claims", "hurts", "sources", "more"}


@dataclass(frozen=True)
class Trick:
    """One trick; six fields are there once its chapter is written, and `more` where other pages go on with it."""

    id: str
    part: str
    chapter: str
    name: str
    anchor: str
    measures: str
    symbols: tuple[str, ...] | None = None
    claims: tuple[str, ...] | None = None
    null: str | None = None
    cost: str | None = None
    hurts: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    more: tuple[str, ...] = ()

    @property
    def pages(self) -> tuple[str, ...]:
        """Its chapter, and the pages that go on with it."""
        return self.chapter, *self.more

    @property
    def is_written(self) -> bool:
        return self.claims is not None

    @property
    def module(self) -> str:
        """The module of its chapter, whether or not it exists."""
        return f"tricks_lib.{self.chapter.replace('/', '.')}"


@dataclass(frozen=True)
class Register:
    """All of book/tricks.yml."""

    infrastructure: tuple[str, ...]
    constants: dict[str, dict[str, str]]
    tricks: tuple[Trick, ...]

    def constants_of(self, page: str) -> frozenset[str]:
        """Return the numbers that a page may say in digits, in canonical form."""
        known = [*self.constants.get(page, {}), *self.constants.get(EVERYWHERE, {})]
        return frozenset(map(canonical, known))


class OneKeyOnce(yaml.SafeLoader):
    """YAML that refuses a key given twice, which would silently lose the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"key given twice: {twice[0]!r}", node.start_mark)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Register:
    """Read a register and refuse one that is not in its form."""
    raw = yaml.load(path.read_text("utf8"), OneKeyOnce)
    if wrong := schema(raw):
        raise ValueError(f"{path}: " + "; ".join(wrong))
    return read(raw)


def read(raw: dict[str, Any]) -> Register:
    """Make a register of parsed YAML that is in its form."""
    tricks: list[dict[str, Any]] = raw["tricks"]
    as_tuples: list[dict[str, Any]] = [
        {key: tuple(value) if key in LISTS else value for key, value in one.items()} for one in tricks
    ]
    return Register(tuple(raw["infrastructure"]), raw["constants"], tuple(Trick(**one) for one in as_tuples))


def schema(raw: Any) -> list[str]:
    """Return what keeps parsed YAML from being a register: keys and types."""
    if not isinstance(raw, dict) or set(raw) != {field.name for field in fields(Register)}:
        return ["a register has the keys infrastructure, constants and tricks"]
    if not (
        isinstance(raw["infrastructure"], list)
        and isinstance(raw["constants"], dict)
        and isinstance(raw["tricks"], list)
    ):
        return ["infrastructure and tricks must be lists, constants must be a mapping"]
    found = [] if _is_texts(raw["infrastructure"]) else ["infrastructure must be a list of module names"]
    for page, numbers in raw["constants"].items():
        if not isinstance(numbers, dict) or not _is_texts([*numbers, *numbers.values()]):
            found.append(f"constants of {page}: quoted numbers, each with a reason")
    for trick in raw["tricks"]:
        found += [f"{trick.get('id', trick)}: {wrong}" for wrong in _wrong_keys(trick)]
    return found


def problems(book: Register, root: Path) -> list[str]:
    """Return what all checks find."""
    found = identities(book) + symbols(book)
    for check in (written, anchors, mapped, modules, names, claims, sources, triples, constants):
        found += check(book, root)
    return found


def identities(book: Register) -> list[str]:
    """Every id stands once, and anchor, part and chapter agree with it and with each other."""
    ids = [trick.id for trick in book.tricks]
    found = [f"{one}: more than once" for one, count in Counter(ids).items() if count > 1]
    found += [f"{one}: missing, and ids are for ever" for one in IDS if one not in ids]
    found += [f"{one}: not in the list of ids, tools/register.py" for one in ids if one not in IDS]
    for trick in book.tricks:
        if trick.anchor != f"trick-{trick.id.lower()}":
            found.append(f"{trick.id}: anchor {trick.anchor}, expected trick-{trick.id.lower()}")
        if trick.part not in PARTS or not re.fullmatch(rf"{trick.part.lower()}/[a-z0-9_]+", trick.chapter):
            found.append(f"{trick.id}: chapter {trick.chapter} is not in part {trick.part}")
    return found


def written(book: Register, root: Path) -> list[str]:
    """A trick has claims, symbols, sources and the rest exactly if its chapter is there."""
    found = []
    for trick in book.tricks:
        exists = (root / f"book/{trick.chapter}.md").is_file()
        if exists and not trick.is_written:
            found.append(f"{trick.id}: book/{trick.chapter}.md is there; register {', '.join(sorted(WRITTEN))}")
        if trick.is_written and not exists:
            found.append(f"{trick.id}: registered as written, but there is no book/{trick.chapter}.md")
    return found


def anchors(book: Register, root: Path) -> list[str]:
    """A chapter has a section for each of its tricks."""
    return [
        f"{trick.id}: book/{trick.chapter}.md has no ({trick.anchor})="
        for trick in book.tricks
        if (page := root / f"book/{trick.chapter}.md").is_file()
        and f"({trick.anchor})=" not in page.read_text("utf8").splitlines()
    ]


def mapped(book: Register, root: Path) -> list[str]:
    """Who comes to the first page with a problem finds the trick: the map there leads to all that are written."""
    text = (root / MAP).read_text("utf8")
    tricks = [trick for trick in book.tricks if trick.is_written]
    return [f"{trick.id}: {MAP} does not lead to it" for trick in tricks if f"(#{trick.anchor})" not in text]


def symbols(book: Register) -> list[str]:
    """Every symbol can be imported, by the name that its module declares public."""
    return [
        f"{trick.id}: {symbol} is not a public name of a module"
        for trick in book.tricks
        for symbol in trick.symbols or ()
        if not _is_public(symbol)
    ]


def modules(book: Register, root: Path) -> list[str]:
    """Every module belongs to a chapter or to the infrastructure, and what is listed there exists."""
    existing = list(public_modules(root))
    owned = [module for module in existing if any(_within(module, trick.module) for trick in book.tricks)]
    listed = {one: [module for module in existing if fnmatch(module, one)] for one in book.infrastructure}
    known = {*owned, *(module for found in listed.values() for module in found)}
    missing = [f"{module}: neither of a chapter nor under infrastructure" for module in existing if module not in known]
    late = [one for one in book.infrastructure if one in owned and not _is_ahead(book, one, root)]
    return [
        *missing,
        *(f"infrastructure: no module {one}" for one, found in listed.items() if not found),
        *(f"infrastructure: {one} has its chapter now" for one in late),
    ]


def names(book: Register, root: Path) -> list[str]:
    """Every public name of a chapter's module belongs to a trick of that chapter."""
    registered = {symbol for trick in book.tricks for symbol in trick.symbols or ()}
    tricks_of = {trick.module for trick in book.tricks}
    return [
        f"{module}.{name}: of no trick in {PATH}"
        for module, path in public_modules(root).items()
        if any(_within(module, one) for one in tricks_of) and not _is_ahead(book, module, root)
        for name in public_names(ast.parse(path.read_text("utf8"))) or []
        if f"{module}.{name}" not in registered
    ]


def claims(book: Register, root: Path) -> list[str]:
    """The claims of a trick are those that its chapter makes, and bear its id."""
    found = []
    for chapter in dict.fromkeys(trick.chapter for trick in book.tricks if trick.is_written):
        of_chapter = [trick for trick in book.tricks if trick.chapter == chapter]
        pages = [root / f"book/{page}.md" for page in dict.fromkeys(page for t in of_chapter for page in t.pages)]
        made = [one for page in pages if page.is_file() for one in claim_ids(page.read_text("utf8"))]
        found += [f"book/{chapter}.md:{line}: the id of a claim is not a plain string" for line, one in made if not one]
        ids = [one for _, one in made if one]
        found += [f"book/{chapter}.md: claim {one} is made twice" for one, count in Counter(ids).items() if count > 1]
        listed = {one for trick in of_chapter for one in trick.claims or ()}
        found += [f"{one}: claimed in book/{chapter}.md, not registered" for one in ids if one not in listed]
        found += [f"{one}: registered, not claimed in book/{chapter}.md" for one in sorted(listed - set(ids))]
    for trick in book.tricks:
        strange = [one for one in trick.claims or () if not one.startswith(f"{trick.id.lower()}-")]
        found += [f"{trick.id}: claim {one} is of another trick" for one in strange]
        unknown = set(trick.hurts or ()) - {one for other in book.tricks for one in other.claims or ()}
        found += [f"{trick.id}: {one}, which is to show when it hurts, is no claim" for one in sorted(unknown)]
    return found


def sources(book: Register, root: Path) -> list[str]:
    """Every source is in the bibliography, and cited in the chapter of its trick."""
    bibliography = root / "book/references.bib"
    text = bibliography.read_text("utf8") if bibliography.is_file() else ""
    keys = set(re.findall(r"^\s*@\w+\s*\{\s*([^,\s]+)\s*,", text, re.MULTILINE))
    found = []
    for trick in book.tricks:
        pages = [root / f"book/{page}.md" for page in trick.pages]
        cited = {one for page in pages if page.is_file() for one in re.findall(r"[\w-]+", page.read_text("utf8"))}
        wanted = trick.sources or ()
        found += [f"{trick.id}: source {one} is not in book/references.bib" for one in wanted if one not in keys]
        found += [f"{trick.id}: source {one} is not cited in its chapter" for one in wanted if one not in cited]
    return found


def triples(book: Register, root: Path) -> list[str]:
    """A module of a chapter's name has that chapter and a test of its name; a chapter with symbols has the module."""
    found = []
    for chapter in dict.fromkeys(trick.chapter for trick in book.tricks):
        part, name = chapter.split("/")
        has_page = (root / f"book/{chapter}.md").is_file()
        own = [module for module in public_modules(root) if _within(module, f"tricks_lib.{part}.{name}")]
        has_module = any(not _is_ahead(book, module, root) for module in own)
        needs_module = any(trick.symbols for trick in book.tricks if trick.chapter == chapter)
        if has_module and not has_page:
            found.append(f"tricks_lib/{chapter}: no chapter book/{chapter}.md")
        if needs_module and not has_module:
            found.append(f"book/{chapter}.md: no module tricks_lib/{chapter}.py")
        if (needs_module or has_module) and not (root / f"tests/{part}/test_{name}.py").is_file():
            found.append(f"tricks_lib/{chapter}: no tests/{part}/test_{name}.py")
    return found


def constants(book: Register, root: Path) -> list[str]:
    """Every registered number stands on its page, and is needed there."""
    texts = {path.relative_to(root).as_posix(): path.read_text("utf8") for path in (root / "book").rglob("*.md")}
    said = {page: set(map(canonical, _said(text))) for page, text in texts.items()}
    said[EVERYWHERE] = set().union(*said.values())
    found = [f"constants: no page {page}" for page in book.constants if page not in said]
    for page, numbers in book.constants.items():
        unused = [number for number in numbers if canonical(number) not in said.get(page, set())]
        found += [f"constants: {number} needs no entry for {page}" for number in unused if page in said]
        spellings = Counter(map(canonical, numbers))
        found += [f"constants: {one} more than once for {page}" for one, count in spellings.items() if count > 1]
    return found


def public_modules(root: Path) -> dict[str, Path]:
    """Return name and file of each module of the library that is neither private nor a bare package."""
    paths = sorted((root / "tricks_lib").rglob("*.py"))
    found = {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}
    return {name: path for name, path in found.items() if not any(part.startswith("_") for part in name.split("."))}


def _said(text: str) -> Iterator[str]:
    yield from (number for _, number in typed_numbers(text))
    yield from (number for _, number, _ in claimed_numbers(text))


def _is_ahead(book: Register, module: str, root: Path) -> bool:
    """Tell whether a module came before its chapter: until then it is listed under infrastructure by its full name."""
    return module in book.infrastructure and not (root / f"book/{'/'.join(module.split('.')[1:])}.md").is_file()


def _within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _is_public(symbol: str) -> bool:
    module, _, name = symbol.rpartition(".")
    try:
        loaded = importlib.import_module(module)
    except (ImportError, ValueError):
        return False
    return module.startswith("tricks_lib.") and name in getattr(loaded, "__all__", []) and hasattr(loaded, name)


def _is_texts(values: Any) -> bool:
    return isinstance(values, Iterable) and all(isinstance(value, str) and value.strip() for value in values)


def _wrong_keys(trick: dict[Any, Any]) -> Iterator[str]:
    """Yield what is wrong with the keys of one trick and the types of their values."""
    if None in trick:
        yield 'write the key "null" in quotes: YAML reads it as nothing otherwise'
    elif strange := set(trick) - REQUIRED - WRITTEN - {"more"}:
        yield f"unknown keys {sorted(strange)}"
    if missing := REQUIRED - set(trick):
        yield f"no {', '.join(sorted(missing))}"
    if 0 < len(WRITTEN & set(trick)) < len(WRITTEN):
        yield f"no {', '.join(sorted(WRITTEN - set(trick)))}: all six, or none before the chapter is written"
    for key, value in trick.items():
        if key in LISTS and (not isinstance(value, list) or not _is_texts(value)):
            yield f"{key} must be a list of names"
        if key in REQUIRED | {"null", "cost"} and not (isinstance(value, str) and value.strip()):
            yield f"{key} must be text"
    if any(key in trick and not trick[key] for key in ("claims", "hurts", "sources")):
        yield "a written trick has at least one claim, one that shows when it hurts, and one source"
