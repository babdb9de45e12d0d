"""`tools.pdf` without LaTeX: what is missing is named, and what LaTeX complains of is not overlooked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import pdf

CLEAN = """\
Package longtable Warning: Table widths have changed. Rerun LaTeX.
Overfull \\hbox (9.05995pt too wide) in paragraph at lines 28930--28930
Underfull \\vbox (badness 10000) has occurred while \\output is active
Output written on tricks-lib.pdf (514 pages).
"""


def test_a_clean_log_has_no_fault() -> None:
    assert pdf.faults(CLEAN) == []


@pytest.mark.parametrize(
    "line",
    [
        "Missing character: There is no Ł in font texgyrepagella-regular.otf/OT!",
        "LaTeX Warning: Reference `book/data/looking:eq' on page 5 undefined on input line 7.",
        "LaTeX Warning: Hyper reference `book/data/gone::doc' on page 5 undefined on input line 7.",
        "LaTeX Warning: Citation `lecun1998' on page 5 undefined on input line 7.",
        "LaTeX Warning: Label `book/index::doc' multiply defined.",
        "LaTeX Warning: File `gone.png' not found on input line 7.",
        "! LaTeX Error: File `tcolorbox.sty' not found.",
        "Overfull \\hbox (20.5pt too wide) in paragraph at lines 9--9",
        "Overfull \\hbox (351.89183pt too wide) in alignment at lines 32714--32727",
    ],
)
def test_a_fault_in_the_log_is_found_and_told_once(line: str) -> None:
    assert pdf.faults(f"{CLEAN}{line}\n{CLEAN}{line}\n") == [line]


AUX = r"""
\newlabel{book/index::doc}{{}{1}{}{section*.2}{}}
\newlabel{book/data/looking:trick-d01}{{1.1}{8}{Know {\it it}}{section.1.1}{}}
\newlabel{book/data/looking::doc}{{1}{7}{Look at the data first}{chapter.1}{}}
\newlabel{book/data/whitening::doc}{{5}{99}{Whiten: \(PCA\) and t\sphinxhyphen {}SNE}{chapter.5}{}}
"""
OUTLINE = r"""
\BOOKMARK [-1][-]{part.1}{\376\377\000I}{}% 5
\BOOKMARK [0][-]{chapter.1}{\376\377\000L}{part.1}% 6
\BOOKMARK [0][-]{chapter.5}{\376\377\000W}{part.1}% 7
"""
PAGES = ["book/data/looking", "book/data/whitening"]


def test_pages_in_the_outline_are_found() -> None:
    assert pdf.lost(AUX, OUTLINE, PAGES) == []


def test_a_page_without_a_place_or_an_entry_is_lost() -> None:
    assert pdf.lost(AUX, OUTLINE.replace("{chapter.5}", "{chapter.6}"), PAGES) == ["book/data/whitening"]
    assert pdf.lost(AUX, OUTLINE, [*PAGES, "book/data/gone"]) == ["book/data/gone"]
    assert pdf.lost(AUX.replace("{chapter.5}", "{chapter.1}"), OUTLINE, PAGES) == PAGES  # one heading for both


def test_programs_that_are_missing_are_named_with_what_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in pdf.PROGRAMS:
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    pdf.check_programs()
    (tmp_path / "xelatex").unlink()
    with pytest.raises(SystemExit, match=r"lacks xelatex\.\nOn Debian: apt-get install .*texlive-xetex"):
        pdf.check_programs()
