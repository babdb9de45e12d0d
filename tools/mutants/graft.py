"""Put a changed statement into a module that is already loaded, and into what others have imported from it.

Loading the module and all tests anew for each fault would take seconds; this takes none.
"""

from __future__ import annotations
import __future__

import ast
import sys
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["graft"]

FLAGS = __future__.annotations.compiler_flag  # every file of ours starts with it


def graft(module: ModuleType, statement: ast.stmt) -> None:
    """Run a top-level statement in ``module``, and give what it defines to the objects of before."""
    code = compile(ast.Module([statement], []), str(module.__file__), "exec", FLAGS, dont_inherit=True)
    made: dict[str, Any] = {}
    exec(code, module.__dict__, made)  # not in the module itself: what others hold is still the old
    for name, new in made.items():
        old = getattr(module, name)
        if not _renew(old, new):
            _replace(name, old, new)


def _renew(old: Any, new: Any) -> bool:
    """Make ``old`` behave as ``new``; tell whether that can be done in place."""
    if isinstance(old, type) and isinstance(new, type):
        _renew_class(old, new)
        return True
    if isinstance(old, property) and isinstance(new, property):
        return all(_renew(a, b) for a, b in ((old.fget, new.fget), (old.fset, new.fset)) if a)
    for inner in ("__func__", "__wrapped__"):  # static and class methods; what functools.wraps has made
        if hasattr(old, inner) and hasattr(new, inner):
            return _renew(getattr(old, inner), getattr(new, inner))
    if not (isinstance(old, FunctionType) and isinstance(new, FunctionType)):
        return False
    if old.__code__.co_freevars != new.__code__.co_freevars:
        return False
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    _renew_cells(old, new)
    return True


def _renew_cells(old: FunctionType, new: FunctionType) -> None:
    """Take over what a function has from around it, such as the defaults of a data class, but not its class."""
    for one, other in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
        if not isinstance(other.cell_contents, type):
            one.cell_contents = other.cell_contents


def _renew_class(old: type, new: type) -> None:
    for name, value in vars(new).items():
        before = vars(old).get(name)
        if isinstance(value, type) and not value.__qualname__.startswith(f"{new.__qualname__}."):
            continue  # not a class within the class; what autograd adds to its functions leads back to them
        if _renew(before, value):
            continue
        if isinstance(value, FunctionType):
            setattr(old, name, _with_cells_of(before, value))
        elif not name.startswith("__") and not hasattr(value, "__set__"):
            setattr(old, name, value)


def _with_cells_of(old: Any, new: FunctionType) -> FunctionType:
    """Return a function with the code of ``new`` that sees the class of ``old``: ``super()`` needs it."""
    cells = dict(zip(old.__code__.co_freevars, old.__closure__ or (), strict=True)) if old else {}
    closure = tuple(cells[name] for name in new.__code__.co_freevars)
    made = FunctionType(new.__code__, new.__globals__, new.__name__, new.__defaults__, closure)
    made.__kwdefaults__ = new.__kwdefaults__
    return made


def _replace(name: str, old: Any, new: Any) -> None:
    """Replace a value wherever it was imported."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)
