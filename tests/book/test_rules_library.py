"""The rules for the library: what they let pass and what they find."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.book.sample_project import LIBRARY, MODULE, lines
from tools.rules import library, sizes, words

FINE = {
    library.no_cuda: [
        '"""cuda is one of many."""',
        '"""Runs on cuda."""\n# "cuda"\nx.to(device)',
        "torch.cuda.is_available()",
        'd.type == "mps"',
    ],
    library.no_foreign_randomness: ["import torch.random", "torch.random.fork_rng()", "x.random_(generator=g)"],
    library.no_global_seeding: ["torch.Generator().manual_seed(0)", "g.manual_seed(0)", '">>> torch.manual_seed(0)"'],
    library.draws_take_a_generator: [
        "import torch\ntorch.rand(2, generator=g)",
        "torch.rand(2, **more)",
        "x.normal_(generator=g)",
        "normal(2)",
    ],
    library.factories_take_a_device: [
        "torch.zeros(2, device=x.device)",
        "torch.zeros_like(x)",
        "x.new_zeros(2)",
        "torch.ones(2, **factory)",
        "torch.from_numpy(a)",
        "isinstance(x, torch.Tensor)",
        "'>>> torch.ones(2)'",
    ],
    library.loads_weights_only: ["torch.load(f, weights_only=True)", "np.load(f)"],
    library.no_assert: ["torch.testing.assert_close(a, b)", '">>> assert x"'],
    library.leaves_its_name_to_the_module: ["class Looking: pass", "def look(): pass"],
    library.named_for_what_it_does: [""],
    library.declares_its_names: [
        LIBRARY,
        "__all__ = []\n\ndef _f(): pass",
        '__all__ = ["A", "b"]\nA = int\nb: int = 1',
        '__all__ = ["f"]\nasync def f():\n    """Say."""',
    ],
    words.skips_say_why: [
        "import pytest\npytest.skip('no GPU')",
        "import pytest\n@pytest.mark.skipif(x, reason='no GPU')\ndef test(): pass",
        "pytest.fixture()",
    ],
    sizes.short_files: ["x = 1\n" * 250 + "# more\n" * 9 + '"""More.\n\nAnd\nmore.\n"""\n'],
    sizes.short_functions: ["def f():\n" + "    '''Say.\n\n    More.\n    '''\n    # why\n\n" + "    pass\n" * 59],
}
FAULTS = {
    library.no_cuda: [
        "x.cuda(0)",
        "model.to('cuda')",
        'torch.device("cuda:0")',
        'f"cuda:{n}"',
        'def f():\n    """Say.\n\n    >>> x.cuda()\n    """',
    ],
    library.no_foreign_randomness: [
        "import numpy as np\nnp.random.rand()",
        "import numpy\nnumpy.random.default_rng(0)",
        "from numpy import random",
        "from numpy.random import default_rng",
        "import numpy.random as r",
        "from random import shuffle",
        "import random",
        '"""\n>>> np.random.seed(0)\n"""',
    ],
    library.no_global_seeding: [
        "import torch as t\nt.manual_seed(0)",
        "from torch import manual_seed as s\ns(0)",
        "torch.seed()",
        "torch.cuda.manual_seed_all(0)",
        "torch.random.manual_seed(1)",
    ],
    library.draws_take_a_generator: [
        "torch.randn(2, device=d)",
        "from torch import randperm\nrandperm(3)",
        "torch.rand_like(x)",
        "x.uniform_(0, 1)",
        "nn.init.normal_(w)",
    ],
    library.factories_take_a_device: [
        "torch.tensor(0.5)",
        "torch.as_tensor(x)",
        "torch.randperm(3, generator=g)",
        "from torch import eye\neye(3)",
        "import torch as t\nt.arange(3)",
        "torch.fft.fftfreq(3)",
        "torch.Tensor(3)",
        "torch.FloatTensor([1])",
    ],
    library.loads_weights_only: [
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=flag)",
    ],
    library.no_assert: ["assert x", "def f():\n    assert x, 'no'"],
    library.leaves_its_name_to_the_module: ["def looking(): pass", "class looking: pass", "async def looking(): pass"],
    library.declares_its_names: [
        "x = 1",
        '__all__ = ("a",)\na = 1',
        '__all__ = ["a"] + more\na = 1',
        "__all__ = [a]\na = 1",
        '__all__ = ["a"]\nfrom b import a',
        '__all__ = ["a", "a"]\na = 1',
        "__all__ = []\ndef f(): pass",
        '__all__ = ["f"]\ndef f(): pass',
        '__all__ = ["F"]\nclass F: pass',
    ],
    words.skips_say_why: [
        "import pytest\npytest.skip()",
        "from pytest import skip\nskip()",
        "import pytest\n@pytest.mark.skipif(True)\ndef test(): pass",
        "import pytest\npytest.mark.xfail()",
        "import pytest\n@pytest.mark.skip\ndef test(): pass",
    ],
    sizes.short_files: ["x = 1\n" * 251],
    sizes.short_functions: ["def f():\n" + "    pass\n" * 60, "class A:\n  async def f():\n" + "    pass\n" * 60],
}


def cases(table):
    return [pytest.param(rule, text, id=f"{rule.__name__}-{n}") for rule in table for n, text in enumerate(table[rule])]


@pytest.mark.parametrize(("rule", "text"), cases(FINE))
def test_right_code_passes(rule, text):
    assert rule(MODULE, text) == []


@pytest.mark.parametrize(("rule", "text"), cases(FAULTS))
def test_a_fault_in_code_is_found(rule, text):
    assert len(rule(MODULE, text)) == 1


@pytest.mark.parametrize("name", ["utils", "helper", "common", "misc"])
def test_a_module_whose_name_says_nothing_is_found(name):
    assert library.named_for_what_it_does(Path(f"tricks_lib/{name}.py"), "")
    assert library.named_for_what_it_does(Path(f"tricks_lib/{name}/__init__.py"), "")


def test_a_bare_package_needs_no_names_but_a_filled_one_does():
    package = Path("tricks_lib/data/__init__.py")
    assert library.declares_its_names(package, '"""Data."""\n') == []
    assert library.declares_its_names(package, "def f(): pass\n")


def test_a_message_on_a_docstring_names_the_line_of_the_example():
    text = 'x = 1\n\n\ndef f():\n    """Say.\n\n    >>> x\n    1\n    >>> y.cuda()\n    """\n'
    assert lines(library.no_cuda(MODULE, text)) == [9]


def test_a_function_is_as_long_as_its_code_with_signature_and_without_docstring():
    text = 'def f(\n    a,\n):\n    """Say.\n\n    More.\n    """\n    # why\n'
    text += "\n    def g():\n        return a\n\n    return g\n"
    assert sizes.function_lengths(text) == [("f", 1, 6), ("g", 10, 2)]
    assert sizes.function_lengths("def f():\n    pass\nx = 1\n") == [("f", 1, 2)]


def test_the_median_is_over_all_files():
    short, long = "def f():\n" + "    pass\n" * 9, "def g():\n" + "    pass\n" * 20
    assert sizes.typical_function_is_short({Path("a"): short, Path("b"): short, Path("c"): long}) == []
    assert sizes.typical_function_is_short({Path("a"): short, Path("b"): long, Path("c"): long})
    assert sizes.typical_function_is_short({}) == []


def test_the_median_may_be_ten():
    assert sizes.typical_function_is_short({Path("a"): "def f():\n" + "    pass\n" * 9}) == []
    assert sizes.typical_function_is_short({Path("a"): "def f():\n" + "    pass\n" * 10})


@pytest.mark.parametrize("name", [*library.FACTORIES, *library.DRAWS, *library.SEEDING])
def test_the_names_that_the_rules_watch_are_torchs(name):
    owner = torch
    for part in name.split("."):
        owner = getattr(owner, part)
    assert callable(owner)


@pytest.mark.parametrize("name", library.DRAWS_IN_PLACE)
def test_the_methods_that_the_rules_watch_are_torchs(name):
    assert callable(getattr(torch.Tensor, name))
