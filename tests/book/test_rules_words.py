"""The rules on words: spelling, paths of one machine, what was left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.rules import words

# Faulty words are put together here, so that this file keeps the rule.
BRITISH = """normal|ised optim|isers regular|isation behavio|ur colo|urs neighbo|urhood cent|re cent|red gr|ey
art|efact anal|yse label|led model|ling travel|ler licen|ce defen|ce program|me whil|st fib|re un|favo|urable
Initial|isation""".replace("|", "").split()
AMERICAN = """normalized optimizers behavior colors neighborhood center centered gray artifact analyze labeled modeling
traveler license defense program while fiber exercise otherwise noise precise promise organism realistic surprise raise
analysis your four hours course contour source concentrate central spectral literature metric thread read program
programming excel enroll installed called filled Greys""".split()


@pytest.mark.parametrize("word", BRITISH)
def test_british_spelling_is_found(word):
    assert len(words.american_spelling(Path("README.md"), f"so\nthe {word}, then")) == 1


@pytest.mark.parametrize("word", AMERICAN)
def test_american_spelling_passes(word):
    assert words.american_spelling(Path("README.md"), f"the {word}, then") == []


def test_the_american_spelling_is_told():
    found = words.american_spelling(Path("README.md"), " ".join(BRITISH[:7]))
    told = [message.rsplit(" ", 1)[1].strip("'") for message in found]
    assert sorted(told) == sorted("normalized optimizers regularization behavior colors neighborhood center".split())


@pytest.mark.parametrize(
    ("parts", "is_fine"),
    [
        (('cd "/wo', 'rk/main"'), False),
        (("/tm", "p"), False),
        (("--in=/ro", "ot/.cache"), False),
        (("(/ho", "me/me/a.md)"), False),
        (("../sha", "red/a.md"), False),
        (("see https://pypi", ".org/project"), False),
        (("files.python", "hosted.org"), False),
        (("registry.npm", "js.org"), False),
        (("deb.deb", "ian.org"), False),
        (("https://a.org/ho", "me/b"), True),
        (("</ro", "ot>"), True),
        (("~/wo", "rk and $HOME/tm", "p"), True),
        (("frame", "work/main"), True),
        (("and/or/wo", "rk"), True),
        (("/wo", "rkers"), True),
        (("shared/a.md",), True),
    ],
)
def test_paths_and_hosts_of_one_machine_are_found(parts, is_fine):
    assert (words.no_machine_paths(Path("a.md"), "x\n" + "".join(parts) + "\n") == []) == is_fine


def test_only_whole_words_are_left_over():
    for parts in (("TO", "DO"), ("# FIX", "ME: x"), ("XX", "X")):
        assert words.no_left_overs(Path("a.py"), "".join(parts))
    assert words.no_left_overs(Path("a.py"), "TO" + "DOS, XX" + "XX, to" + "do") == []
