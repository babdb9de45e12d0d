"""The public names of the package and how each is called: what a release promises until the next major version.

python -m tools.api          what of the last release is missing, or must be called in another way?
python -m tools.api write    write its list, tests/api.json, anew: for a release, or for names that no release had
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tricks_lib
from tools.release import notes

LIST = Path(__file__).resolve().parents[1] / "tests/api.json"
Names = dict[str, str | None]  # "tricks_lib.data.looking.PCA" -> "(n_components=...)"; None: is not called
Call = tuple[list[str], dict[str, str]]
Parameters = Mapping[str, inspect.Parameter]
EMPTY = inspect.Parameter.empty


class Given:
    """Stands for a default that is not written down: what it is made of, such as a dtype, has no short text."""

    def __repr__(self) -> str:
        return "..."


def public() -> Names:
    """Return all names in ``__all__`` of all modules, and the public members of classes among them."""
    modules = [one.name for one in pkgutil.walk_packages(tricks_lib.__path__, "tricks_lib.")]
    names: Names = {}
    for module in map(importlib.import_module, modules):
        for name in getattr(module, "__all__", []):  # packages have none
            value, full = getattr(module, name), f"{module.__name__}.{name}"
            names[full] = _signature(value)
            if inspect.isclass(value):
                names |= {f"{full}.{member}": _signature(getattr(value, member)) for member in _members(value)}
    return dict(sorted(names.items()))


def problems(promised: Names, today: Names) -> list[str]:
    """Return a line for each promised name that is gone, or that an old call no longer fits."""
    gone = [f"{name} is gone" for name in promised if name not in today]
    return gone + [
        f"{name}{old} is now {name.rsplit('.', 1)[-1]}{today[name]}: {why}"
        for name, old in promised.items()
        if old is not None and name in today and (why := broken(old, today[name]))
    ]


def broken(old: str, new: str | None) -> str:
    """Say which call that fits the signature ``old`` does not fit ``new``, or means something else; empty if none."""
    if new is None:
        return "it can no longer be called"
    for arguments, keywords in _calls(_parse(old)):
        try:
            bound = _parse(new).bind(*arguments, **keywords).arguments
        except TypeError as error:
            return str(error)
        if moved := [name for name, value in bound.items() if isinstance(value, str) and value != name]:
            return f"the place of {bound[moved[0]]!r} is now that of {moved[0]!r}"
    return _other_default(_parse(old).parameters, _parse(new).parameters)


def _other_default(old: Parameters, new: Parameters) -> str:
    """Say which default is another: whoever left it out gets other results, and no error."""
    for name, was in old.items():
        if was.default not in (EMPTY, ...) and name in new and repr(was.default) != repr(new[name].default):
            return f"{name!r} was {was.default!r} where it is left out"
    return ""


def _calls(old: inspect.Signature) -> Iterator[Call]:
    """Yield the calls that stand for all: everything or only what is required, by place or by name where possible."""
    for only_required in (False, True):
        used = [p for p in old.parameters.values() if p.default is EMPTY or not only_required]
        by_place = [p.name for p in used if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        by_name = {p.name: p.name for p in used if p.kind == p.KEYWORD_ONLY}
        more = [p.name for p in used if p.kind == p.VAR_POSITIONAL]
        unknown = {f"other {p.name}": "" for p in used if p.kind == p.VAR_KEYWORD}
        yield by_place + more, by_name | unknown
        fixed = [p.name for p in used if p.kind == p.POSITIONAL_ONLY]
        yield fixed, {name: name for name in by_place if name not in fixed} | by_name


def _signature(value: Any) -> str | None:
    if not callable(value):
        return None
    if inspect.isclass(value) and "__deprecated__" in vars(value):  # its own signature is that of the warning
        value = functools.partial(value.__init__, None)
    try:
        found = inspect.signature(value)
    except ValueError:  # of a class that takes over its constructor from C, as exceptions do
        return "(*args, **kwargs)"
    bare = [p.replace(annotation=EMPTY, default=_default(p.default)) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=EMPTY))


def _default(value: Any) -> Any:
    try:
        return value if value is EMPTY or ast.literal_eval(repr(value)) == value else Given()
    except (SyntaxError, ValueError):
        return Given()


def _parse(text: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {text[1:-1]}: 0"))  # text is what `_signature` wrote


def _members(value: type) -> list[str]:
    """Return the public names that classes of this package, not their foreign bases, give to a class."""
    own = [base for base in value.__mro__ if base.__module__.startswith("tricks_lib.")]
    return sorted({name for base in own for name in vars(base) if name == "__call__" or not name.startswith("_")})


def main(arguments: list[str]) -> int:
    today = public()
    last = json.loads(LIST.read_text("utf8"))
    found = since_release(last, today)
    if arguments == ["write"]:
        if found and notes(last["version"]):  # the changelog dates that version: it was released
            print("\n".join([f"{LIST.name} stays: {last['version']} promised what is not there", *found]))
            return 1
        LIST.write_text(json.dumps({"version": tricks_lib.__version__, "names": today}, indent=1) + "\n", "utf8")
        return 0
    print("\n".join(found) or f"{len(today)} public names: nothing that was promised is missing")
    return bool(found)


def since_release(last: dict[str, Any], today: Names) -> list[str]:
    """Return what breaks the promise of the last release; a new major version may break it."""
    same_major = last["version"].split(".")[0] == tricks_lib.__version__.split(".")[0]
    return problems(last["names"], today) if same_major else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
