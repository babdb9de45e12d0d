"""Rules for the library: any device, randomness that a caller controls, errors that survive ``python -O``."""

from __future__ import annotations

import ast
from pathlib import Path

from tools.rules.code import Definition, aliases, at, calls, docstrings, doctest_code, dotted, keywords, public_names

__all__ = [
    "declares_its_names",
    "draws_take_a_generator",
    "factories_take_a_device",
    "leaves_its_name_to_the_module",
    "loads_weights_only",
    "named_for_what_it_does",
    "no_assert",
    "no_cuda",
    "no_foreign_randomness",
    "no_global_seeding",
]

FACTORIES = """arange as_tensor asarray bartlett_window blackman_window empty empty_strided eye full hamming_window
hann_window kaiser_window linspace logspace ones rand randint randn randperm range scalar_tensor tensor tril_indices
triu_indices zeros fft.fftfreq fft.rfftfreq""".split()
DRAWS = """bernoulli multinomial normal poisson rand rand_like randint randint_like randn randn_like
randperm""".split()
DRAWS_IN_PLACE = "bernoulli_ cauchy_ exponential_ geometric_ log_normal_ normal_ random_ uniform_".split()
SEEDING = """manual_seed seed random.manual_seed random.seed cuda.manual_seed cuda.manual_seed_all cuda.seed
mps.manual_seed xpu.manual_seed xpu.manual_seed_all""".split()
SAYS_NOTHING = {"common", "helper", "helpers", "misc", "util", "utils"}


def no_cuda(path: Path, text: str) -> list[str]:
    """The device comes from the input, from an argument or from `default_device`."""
    found = []
    for tree in (ast.parse(text), ast.parse(doctest_code(text))):
        prose = set(docstrings(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
                found.append(at(path, node.lineno, "calls .cuda(): write .to(device)"))
            if isinstance(node, ast.Constant) and node not in prose and str(node.value).startswith("cuda"):
                found.append(at(path, node.lineno, f"{node.value!r}: take the device from the input or an argument"))
    return found


def no_foreign_randomness(path: Path, text: str) -> list[str]:
    """Neither NumPy's random numbers nor Python's: a `torch.Generator` cannot control them."""
    found = []
    for tree in (ast.parse(text), ast.parse(doctest_code(text))):
        known = aliases(tree) | {"np": "numpy"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [name.name for name in node.names]
                module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                used = [module, *(f"{module}.{name}".strip(".") for name in names)]
            else:
                used = [dotted(node, known)] if isinstance(node, ast.Attribute) else []
            if any(name.split(".")[0] == "random" or name == "numpy.random" for name in used):
                line = getattr(node, "lineno", 0)
                found.append(at(path, line, "random numbers from outside torch: draw with a torch.Generator"))
    return found


def no_global_seeding(path: Path, text: str) -> list[str]:
    """Whoever imports the library keeps the state of torch's own generator (an example in a docstring is a caller)."""
    names = {f"torch.{name}" for name in SEEDING}
    return [
        at(path, call.lineno, f"{name}() seeds the global generator: take a `generator` argument")
        for call, name in calls(ast.parse(text))
        if name in names
    ]


def draws_take_a_generator(path: Path, text: str) -> list[str]:
    """A draw without ``generator=`` moves torch's global state."""
    names = {f"torch.{name}" for name in DRAWS}
    return [
        at(path, call.lineno, f"{name or '...' + _attribute(call)}() draws from the global state: pass generator=")
        for call, name in calls(ast.parse(text))
        if (name in names or _attribute(call) in DRAWS_IN_PLACE) and not keywords(call).keys() & {"generator", None}
    ]


def factories_take_a_device(path: Path, text: str) -> list[str]:
    """A tensor made without ``device=`` lands on the CPU and meets a GPU one later."""
    names = {f"torch.{name}" for name in FACTORIES}
    found = [
        at(path, call.lineno, f"{name}() without device=: take the input's, or make it from the input: x.new_zeros()")
        for call, name in calls(ast.parse(text))
        if name in names and not keywords(call).keys() & {"device", None}
    ]
    legacy = [call for call, name in calls(ast.parse(text)) if name.startswith("torch.") and name.endswith("Tensor")]
    return found + [at(path, call.lineno, "old tensor constructor: use torch.tensor or torch.empty") for call in legacy]


def loads_weights_only(path: Path, text: str) -> list[str]:
    """A checkpoint is data: reading one must not be able to run code."""
    return [
        at(path, call.lineno, "torch.load needs weights_only=True, written out")
        for call, name in calls(ast.parse(text))
        if name == "torch.load" and getattr(keywords(call).get("weights_only"), "value", None) is not True
    ]


def no_assert(path: Path, text: str) -> list[str]:
    """``python -O`` removes assertions: bad input raises ValueError or TypeError."""
    lines = [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    return [at(path, line, "assert: raise ValueError or TypeError that names the argument") for line in lines]


def declares_its_names(path: Path, text: str) -> list[str]:
    """``__all__`` is a list of names that the module itself defines, each with a docstring."""
    tree = ast.parse(text)
    names = public_names(tree)
    if path.name == "__init__.py" and not _definitions(tree):
        return []
    if names is None:
        return [at(path, 1, "no __all__, or not a list of strings")]
    defined = {node.name: node for node in _definitions(tree)}
    assigned = {target.id for node in tree.body for target in _targets(node) if isinstance(target, ast.Name)}
    found = [
        at(path, 1, f"__all__ names {name}, which is not defined here")
        for name in names
        if name not in {*defined, *assigned}
    ]
    found += [at(path, 1, f"__all__ names {name} twice") for name in {n for n in names if names.count(n) > 1}]
    for name, node in defined.items():
        if name not in names and not name.startswith("_"):
            found.append(at(path, node.lineno, f"{name} is neither in __all__ nor private"))
        if name in names and not ast.get_docstring(node):
            found.append(at(path, node.lineno, f"{name} has no docstring"))
    return found


def named_for_what_it_does(path: Path, text: str) -> list[str]:
    """The name of a module says what it is about."""
    own = _module_name(path)
    return [at(path, 1, f"a module named {own} says nothing")] if own in SAYS_NOTHING else []


def leaves_its_name_to_the_module(path: Path, text: str) -> list[str]:
    """No function or class takes the name of its module: importing it into the package would hide the module."""
    same = [node for node in _definitions(ast.parse(text)) if node.name == _module_name(path)]
    return [at(path, node.lineno, f"{node.name} has the name of its module and would hide it") for node in same]


def _module_name(path: Path) -> str:
    return path.parent.name if path.name == "__init__.py" else path.stem


def _attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _definitions(tree: ast.Module) -> list[Definition]:
    return [node for node in tree.body if isinstance(node, Definition)]


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []
