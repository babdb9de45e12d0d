"""The book as one PDF: let LaTeX make it from what Sphinx wrote, and check what LaTeX says of it.

python -m tools.pdf check    are the programs there?
python -m tools.pdf          make _build/tricks-lib.pdf from _build/latex
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.chapters import ROOT, pages

LATEX = ROOT / "_build" / "latex"
PROGRAMS = ("xelatex", "latexmk", "makeindex", "rsvg-convert")
PACKAGES = "texlive-xetex texlive-latex-extra texlive-fonts-recommended latexmk librsvg2-bin"
FONTS = "lmodern fonts-texgyre fonts-texgyre-math fonts-dejavu-core"
APT = f"On Debian: apt-get install --no-install-recommends {PACKAGES} {FONTS}"
WIDEST = 20  # points that a line may reach into the margin before a reader minds
FAULTS = re.compile(
    r"^(?:! .*|Missing character: .*|LaTeX Warning: (?:Reference|Citation|Hyper reference|File|Label) .*)", re.M
)
OVERFULL = re.compile(r"^Overfull \\hbox \(([\d.]+)pt too wide\) .*", re.M)


def check_programs() -> None:
    """Stop, with what to install, where a program is missing: to install it is for who owns the machine."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise SystemExit(f"for a PDF this machine lacks {', '.join(missing)}.\n{APT}")


def run_latex(tex: Path) -> int:
    """Run LaTeX until references settle; return its exit code."""
    env = os.environ | {
        "LATEXOPTS": "-halt-on-error -interaction=nonstopmode",
        "max_print_line": "10000",  # else the log breaks names apart
    }
    command = ["latexmk", "-xelatex", "-silent", tex.name]
    return subprocess.run(command, cwd=tex.parent, env=env, capture_output=True).returncode


def faults(log: str) -> list[str]:
    """Return what a reader would notice: missing characters, references and files, lines far into the margin."""
    wide = [found[0] for found in OVERFULL.finditer(log) if float(found[1]) > WIDEST]
    return list(dict.fromkeys([*FAULTS.findall(log), *wide]))


def lost(aux: str, outline: str, names: list[str]) -> list[str]:
    """Return the pages without an entry of their own in the PDF's outline, where each entry names its anchor."""
    anchors = dict(re.findall(r"^\\newlabel\{([^}]+)::doc\}\{.*\{([^{}]+)\}\{\}\}$", aux, re.M))
    entries = set(re.findall(r"^\\BOOKMARK \[[^]]*\]\[[^]]*\]\{([^}]+)\}", outline, re.M))
    found = [anchors.get(name) for name in names]
    return [name for name, own in zip(names, found, strict=True) if own not in entries or found.count(own) > 1]


def main() -> None:
    """Make the PDF; say where it is, or stop with what is wrong with it."""
    tex = LATEX / "tricks-lib.tex"
    code = run_latex(tex)
    log, aux, outline = (tex.with_suffix(end) for end in (".log", ".aux", ".out"))
    said = log.read_text("utf8", "replace")
    problems = faults(said)
    if code == 0:
        _, *others = pages()  # the first page is what comes before the first part
        problems += [
            f"{name}: not in the outline" for name in lost(aux.read_text("utf8"), outline.read_text("utf8"), others)
        ]
    if code or problems:
        raise SystemExit("\n".join([*problems, f"LaTeX ended with {code}; its log is {log}", APT]))
    to = Path(shutil.copy(tex.with_suffix(".pdf"), ROOT / "_build"))
    count = re.findall(r"^Output written on .* \((\d+) pages", said, re.M)[-1]
    print(f"The book is in {to.relative_to(ROOT)}: {count} pages, {to.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    check_programs()
    if sys.argv[1:] != ["check"]:
        main()
