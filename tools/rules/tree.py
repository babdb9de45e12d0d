"""Which rule holds where in the project."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from tools import register
from tools.rules import chapters, library, pages, prose, sizes, words
from tools.rules.code import Rule

__all__ = ["RULES", "broken", "built_files", "files", "problems", "tracked"]

Check = Callable[[Path], list[str]]
LIBRARY = ("tricks_lib/*.py",)
OURS = (*LIBRARY, "tools/*.py", "book/_ext/*.py", "benchmarks/*.py", "tests/*.py")
PAGES = ("book/*.md",)
WRITTEN = (*PAGES, *OURS, "book/tricks.yml", "[A-Z]*.md", "CITATION.cff")
BUILT = ("*.ipynb", "*__pycache__*", "*.egg-info/*", "*.ipynb_checkpoints*", "_build/*", "build/*", "dist/*")


def over(rule: Rule, *patterns: str) -> Check:
    """Hold a rule against the files that match a pattern."""
    return lambda root: [message for path, text in files(root, *patterns) for message in rule(path, text)]


def in_pages(rule: Rule) -> Check:
    """Hold a rule against the pages of the book; the source of an assignment, with its solutions, is none."""
    return over(lambda path, text: [] if chapters.is_assignment(text) else rule(path, text), *PAGES)


def in_chapters(rule: Rule) -> Check:
    """Hold a rule against the pages that run."""
    return in_pages(lambda path, text: rule(path, text) if chapters.is_chapter(text) else [])


def in_cells(rule: Rule) -> Check:
    """Hold a rule for Python against the cells of the chapters."""
    return in_chapters(lambda path, text: rule(path, pages.code(text)))


def built_files(root: Path) -> list[str]:
    """Text notebooks only: what a command makes is not in git."""
    made = [path for path in _git(root, "--cached") or [] if any(fnmatch(path, pattern) for pattern in BUILT)]
    return [f"{path}:1: made by a command, so not for git: git rm --cached {path}" for path in made]


def public_names_only(root: Path) -> list[str]:
    """Chapters import what the library declares."""
    return in_chapters(partial(chapters.imports_public_names, root=root))(root)


def registered_anchors(root: Path) -> list[str]:
    """A chapter holds the anchors of its own tricks and no others."""
    tricks = register.load(root / register.PATH).tricks

    def rule(path: Path, text: str) -> list[str]:
        own = frozenset(trick.anchor for trick in tricks if path.as_posix() == f"book/{trick.chapter}.md")
        return chapters.anchors_are_registered(path, text, own)

    return in_pages(rule)(root)


def no_typed_numbers(root: Path) -> list[str]:
    """No page says in digits what it does not glue, cite or register."""
    book = register.load(root / register.PATH)

    def rule(path: Path, text: str) -> list[str]:
        known = book.constants_of(path.as_posix())
        return prose.no_typed_number(path, text, known) + prose.no_number_in_a_claim(path, text, known)

    return in_pages(rule)(root)


RULES: dict[str, Check] = {
    **{
        f"library: {rule.__name__}": over(rule, *LIBRARY)
        for rule in (
            library.no_cuda,
            library.no_foreign_randomness,
            library.no_global_seeding,
            library.draws_take_a_generator,
            library.factories_take_a_device,
            library.loads_weights_only,
            library.no_assert,
            library.declares_its_names,
            library.leaves_its_name_to_the_module,
            sizes.short_files,
            sizes.short_functions,
        )
    },
    "library: typical_function_is_short": lambda root: sizes.typical_function_is_short(dict(files(root, *LIBRARY))),
    "code: named_for_what_it_does": over(library.named_for_what_it_does, *OURS),
    "tests: skips_say_why": over(words.skips_say_why, "tests/*.py"),
    **{
        f"chapters: {rule.__name__}": in_chapters(rule)
        for rule in (
            chapters.standard_header,
            chapters.plain_python,
            chapters.short_cells,
            chapters.narrow_cells,
            chapters.first_cell_sets_up,
            chapters.nothing_goes_unread,
            chapters.nothing_is_excused,
            chapters.nothing_is_hidden,
            chapters.drawings_are_described,
            chapters.reads_and_shows_nothing_itself,
            chapters.seeds_are_its_own,
            chapters.exercises_have_solutions,
            chapters.takeaways_name_claims,
        )
    },
    "chapters: imports_public_names": public_names_only,
    "chapters: no_cuda": in_cells(library.no_cuda),
    "chapters: no_foreign_randomness": in_cells(library.no_foreign_randomness),
    "chapters: loads_weights_only": in_cells(library.loads_weights_only),
    "pages: figures_have_alternatives": in_pages(chapters.figures_have_alternatives),
    "pages: anchors_are_registered": registered_anchors,
    "pages: no_typed_numbers": no_typed_numbers,
    "text: american_spelling": over(words.american_spelling, *WRITTEN),
    "text: no_machine_paths": over(words.no_machine_paths, "*"),
    "text: no_left_overs": over(words.no_left_overs, "*"),
    "git: built_files": built_files,
}


def problems(root: Path) -> list[str]:
    """Return what all rules find in the project at ``root``."""
    return [message for name in RULES for message in broken(name, root)]


def broken(name: str, root: Path) -> list[str]:
    """Return what one rule finds."""
    return list(dict.fromkeys(RULES[name](root)))


def tracked(root: Path) -> list[Path]:
    """Return the files in git, or about to be: neither deleted nor ignored; all files where there is no git."""
    names = _git(root, "--cached", "--others", "--exclude-standard")
    if names is None:
        passed = {".git", ".venv", "_build", "build", "dist", "__pycache__"}
        found = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        return sorted(path for path in found if not passed & set(path.parts))
    return sorted({Path(name) for name in names if (root / name).is_file()})


def files(root: Path, *patterns: str) -> Iterator[tuple[Path, str]]:
    """Yield path (from the root) and text of the files that match one of ``patterns``, whose ``*`` crosses ``/``."""
    for path in tracked(root):
        if any(fnmatch(path.as_posix(), pattern) for pattern in patterns):
            try:
                yield path, (root / path).read_text("utf8")
            except UnicodeDecodeError:  # a picture, or an array
                continue


def _git(root: Path, *options: str) -> list[str] | None:
    """Return the files that git lists, or ``None`` if ``root`` is not the top of a repository."""
    run = subprocess.run(["git", "-C", str(root), "ls-files", "-z", *options], capture_output=True, text=True)
    return None if run.returncode or not (root / ".git").exists() else [name for name in run.stdout.split("\0") if name]
