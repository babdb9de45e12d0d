"""Rules for all text files: American spelling, nothing of one machine, nothing left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tools.rules.code import aliases, at, calls, dotted, keywords

__all__ = ["american_spelling", "no_left_overs", "no_machine_paths", "skips_say_why"]

# All of these are put together from parts, so that this file keeps its own rules.
FOLDERS = "|".join(("work", "root", "tmp", "home"))
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"))]
HOSTS.append(".".join(("deb", "debian", "org")))
MACHINE = re.compile(
    rf"(?<![\w.~$}}<>])/(?:{FOLDERS})(?:/[\w.-]*|(?![\w/.-]))|" + r"\.\./" + "shared|" + "|".join(map(re.escape, HOSTS))
)
SKIPS = {f"pytest.{kind}" for kind in ("skip", "xfail", "mark.skip", "mark.skipif", "mark.xfail")}
LEFT_OVER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")

STEMS_ISE = """amort anonym author binar capital categor central character color critic custom diagonal discret
econom emphas equal factor favor final formal general harmon hypothes ideal immun initial item linear local maxim
memor minim mobil model modern modular neutral normal optim organ parametr parameter penal prior priorit quant random
raster real recogn regular scrutin sensit serial special stabil standard summar symbol synchron synthes token union
util vector visual""".split()
STEMS_OUR = "behavi col endeav fav flav harb hon hum lab neighb rum sav vap vig".split()
STEMS_RE = "calib cent fib lit met spect theat".split()
STEMS_LL = "cancel channel dial fuel label level marshal model panel signal total travel tunnel".split()
SPELLINGS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(rf"\b(\w*(?:{'|'.join(STEMS_ISE)}))is(e|ed|er|ers|es|ing|ation|ations)\b", re.I), r"\1iz\2"),
    (re.compile(r"\b(anal|catal|paral)ys(e|ed|er|ers|es|ing)\b", re.I), r"\1yz\2"),
    (re.compile(rf"\b((?:un|mis|dis)?(?:{'|'.join(STEMS_OUR)}))our(\w*)\b", re.I), r"\1or\2"),
    (re.compile(rf"\b({'|'.join(STEMS_RE)})re(s?)\b", re.I), r"\1er\2"),
    (re.compile(r"\b((?:un|re)?cent)r(ed|ing)\b", re.I), r"\1er\2"),
    (re.compile(rf"\b((?:un|re|mis)?(?:{'|'.join(STEMS_LL)}))l(ed|er|ing)\b", re.I), r"\1\2"),
    (re.compile(r"\b(g)re(y|ys|yscale)\b", re.I), r"\1ra\2"),
    (re.compile(r"\b(art)e(facts?)\b", re.I), r"\1i\2"),
    (re.compile(r"\b(def|off|pret|lic)enc(e|es|ed)\b", re.I), r"\1ens\2"),
    (re.compile(r"\b(program)me(s?)\b", re.I), r"\1\2"),
    (re.compile(r"\b(wh)ils(t)\b", re.I), r"\1ile"),
]
FOREIGN = {"Gr" + "eys"}  # names that other libraries spell so: matplotlib's color map


def no_machine_paths(path: Path, text: str) -> list[str]:
    """Nothing names a folder of one machine or a host that only some machines reach."""
    return [
        at(path, number, f"{match[0]!r} is of one machine: use a relative path, tmp_path, or a setting")
        for number, line in enumerate(text.splitlines(), 1)
        for match in MACHINE.finditer(line)
    ]


def no_left_overs(path: Path, text: str) -> list[str]:
    """A note to oneself becomes an entry where work is planned, or is done."""
    return [
        at(path, number, f"{match[0]} left over")
        for number, line in enumerate(text.splitlines(), 1)
        for match in LEFT_OVER.finditer(line)
    ]


def american_spelling(path: Path, text: str) -> list[str]:
    """The book, the docstrings and the names in the code are spelled as in the United States."""
    return [
        at(path, number, f"{match[0]!r}: the American spelling is {match.expand(better)!r}")
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, better in SPELLINGS
        for match in pattern.finditer(line)
        if match[0] not in FOREIGN
    ]


def skips_say_why(path: Path, text: str) -> list[str]:
    """A test that may be skipped, or is expected to fail, prints its reason."""
    tree = ast.parse(text)
    bare = [one for node in ast.walk(tree) for one in getattr(node, "decorator_list", [])]
    silent = [(node, name) for node in bare if (name := dotted(node, aliases(tree))) in SKIPS] + [
        (call, name)
        for call, name in calls(tree)
        if name in SKIPS and "reason" not in keywords(call) and not (call.args and ".mark." not in name)
    ]
    return [at(path, node.lineno, f"{name} without a reason") for node, name in silent]
