"""Numbers for the prose: what is emitted, and that MyST-NB's roles show it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from myst_nb.core.variables import format_plain_text
from myst_nb.ext.glue import GLUE_PREFIX

from tests.experiment import notebook
from tricks_lib.experiment.numbers import glue


@pytest.fixture
def shown(monkeypatch):
    """What an IPython that is running would be asked to display."""
    calls = []
    display = SimpleNamespace(display=lambda *a, **k: calls.append((a, k)))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: "a shell", display=display))
    return calls


@pytest.mark.parametrize(
    ("value", "exact", "plain"),
    [
        (67, True, 67),
        (0.1 + 0.2, False, 0.30000000000000004),
        (np.float32(0.1), False, 0.10000000149011612),
        (np.int64(-3), False, -3),
        (np.array(2.5), False, 2.5),
        (np.uint8(200), True, 200),
        (torch.tensor(3), False, 3),
        (torch.tensor(0.5, requires_grad=True), False, 0.5),
        (torch.tensor(1.5, dtype=torch.bfloat16), False, 1.5),
        (-0.0, False, -0.0),
        ("4 and 9", True, "4 and 9"),
        ("it's", True, "it's"),
        (np.str_("a"), True, "a"),
    ],
)
def test_what_is_emitted(shown, value, exact, plain):
    assert glue("a-1-name", value, exact=exact) is None
    (((data,), keywords),) = shown
    assert data == {"application/papermill.record/text/plain": repr(plain)}
    assert keywords == {
        "raw": True,
        "metadata": {
            "scrapbook": {"name": "a-1-name", "mime_prefix": "application/papermill.record/"},
            "tricks_number": {"name": "a-1-name", "value": plain, "exact": exact},
        },
    }
    assert type(keywords["metadata"]["tricks_number"]["value"]) is type(plain)
    assert json.loads(json.dumps(keywords, allow_nan=False)) == keywords


def test_exact_is_off_unless_said(shown):
    glue("gain", 1.5)
    assert shown[0][1]["metadata"]["tricks_number"]["exact"] is False


def test_the_prefix_is_that_of_myst_nb(shown):
    glue("gain", 1.5)
    assert list(shown[0][0][0]) == [GLUE_PREFIX + "text/plain"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70))
def test_the_role_gets_the_number_back(shown, real, whole):
    shown.clear()
    glue("real", real)
    glue("whole", whole)
    (real_text,), (whole_text,) = (data.values() for ((data,), _) in shown)
    assert format_plain_text(real_text, ".3f") == f"{real:.3f}"
    assert format_plain_text(real_text, ".17g") == f"{real:.17g}"
    assert format_plain_text(whole_text, "d") == f"{whole:d}"
    assert format_plain_text(whole_text, "s") == str(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1))
def test_the_role_gets_the_text_back(shown, text):
    shown.clear()
    glue("text", text, exact=True)
    assert format_plain_text(*shown[0][0][0].values(), "s") == text


def test_tensors_on_any_device(shown, device):
    x = torch.tensor(2.25).to(device)
    glue("here", x)
    assert shown[0][1]["metadata"]["tricks_number"]["value"] == 2.25


@pytest.mark.parametrize("name", ["", "Name", "a_b", "a--b", "-a", "a-", "a:b", "a b", "\u00e4", "a\n", None, 3])
def test_bad_names(shown, name):
    with pytest.raises(
        ValueError, match="name must be in kebab case, like 'constant-pixels', got " + re.escape(repr(name))
    ):
        glue(name, 1.0)
    assert shown == []


@pytest.mark.parametrize(
    ("value", "exact", "error", "message"),
    [
        (math.nan, False, ValueError, "value of 'gain' must be finite, or text that is not empty, got nan"),
        (-math.inf, True, ValueError, "value of 'gain' must be finite, .* got -inf"),
        (torch.tensor(math.inf), False, ValueError, "must be finite"),
        (np.float32("nan"), False, ValueError, "must be finite"),
        ("", True, ValueError, "must be finite, or text that is not empty, got ''"),
        ("adam", False, TypeError, "value of 'gain' is text, 'adam': text must be exact=True, or glue a number"),
        (True, False, TypeError, "value must be a single number or text, got bool: True"),
        (torch.tensor(True), False, TypeError, "got bool"),
        (np.bool_(True), False, TypeError, "got bool"),
        (None, False, TypeError, "got NoneType"),
        (1j, False, TypeError, "got complex"),
        ([1.0], False, TypeError, r"got list: \[1.0\]"),
        (torch.ones(1), False, TypeError, r"got Tensor of shape \(1,\)"),
        (np.ones((2, 3)), False, TypeError, r"got ndarray of shape \(2, 3\)"),
    ],
)
def test_bad_values(shown, value, exact, error, message):
    with pytest.raises(error, match=message):
        glue("gain", value, exact=exact)
    assert shown == []


def test_plain_python_is_silent_and_stays_without_ipython(capfd):
    code = (
        "import sys; from tricks_lib.experiment.numbers import glue\n"
        "glue('gain', 1.5); assert 'IPython' not in sys.modules\n"
        "import IPython; glue('gain', 1.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
    with pytest.raises(ValueError, match="name must be"):
        glue("", 1.0)


PAGE = """
gain {glue:text}`gain:.1f`, rate {glue:text}`rate:.0%`, raw {glue:text}`gain`, count {glue:text}`count:d`,
big {glue:text}`count:,.0f`, tiny {glue:text}`tiny:.1e`, text {glue:text}`digits`.
"""
CELL = """
from tricks_lib.experiment.numbers import glue
glue("gain", 3.14159); glue("rate", 0.934); glue("count", 60000, exact=True); glue("tiny", 1.25e-13)
glue("digits", "4 and 9", exact=True)
"""


def test_the_page_shows_the_numbers(tmp_path):
    import nbformat

    page = notebook.run([CELL], tmp_path)
    outputs = page.cells[0].outputs
    assert {o.output_type for o in outputs} == {"display_data"}
    assert [o.metadata["tricks_number"] for o in outputs][:3] == [
        {"name": "gain", "value": 3.14159, "exact": False},
        {"name": "rate", "value": 0.934, "exact": False},
        {"name": "count", "value": 60000, "exact": True},
    ]
    page.cells = [nbformat.v4.new_markdown_cell("# Page"), *page.cells, nbformat.v4.new_markdown_cell(PAGE)]
    nbformat.write(page, tmp_path / "index.ipynb")
    (tmp_path / "page.ipynb").unlink()
    (tmp_path / "conf.py").write_text("extensions = ['myst_nb']\nnb_execution_mode = 'off'\nhtml_theme = 'basic'\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text", str(tmp_path), str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    said = " ".join((tmp_path / "out" / "index.txt").read_text("utf8").split())
    assert "gain 3.1, rate 93%, raw 3.14159, count 60000, big 60,000, tiny 1.2e-13, text 4 and 9." in said
    assert "papermill" not in said and said.count("3.14159") == 2  # once in the code, once in the sentence
