"""`{implementation}` shows the library's own lines, without docstrings and without anything lost."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("book_implementation", ROOT / "book/_ext/book_implementation.py")
assert spec is not None and spec.loader is not None
implementation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(implementation)

TEXT = '''
def first(x):
    """One line."""
    return x  # the reason


@decorated
class Second:
    """Many
    lines.
    """

    size = 3

    def method(self):
        """Docs."""

        return "a string"

    def bare(self):
        return """not a docstring"""
'''


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["first"], "def first(x):\n    return x  # the reason"),
        (["Second", "method"], 'def method(self):\n    return "a string"'),
        (["Second", "bare"], 'def bare(self):\n    return """not a docstring"""'),
    ],
)
def test_docstring_goes_and_the_rest_stays(names: list[str], code: str) -> None:
    assert implementation.source(TEXT, names) == code


def test_class_with_its_decorator_and_without_any_docstring() -> None:
    shown = implementation.source(TEXT, ["Second"])
    assert shown.startswith("@decorated\nclass Second:\n    size = 3\n") and "Docs" not in shown and "Many" not in shown


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ValueError, match="no 'third' there"):
        implementation.source(TEXT, ["third"])
    with pytest.raises(ValueError, match="no such module"):
        implementation.locate("nowhere.module", ROOT)


def test_it_finds_the_file() -> None:
    path, names = implementation.locate("tricks_lib.device.default_device", ROOT)
    assert path == ROOT / "tricks_lib/device.py" and names == ["default_device"]
