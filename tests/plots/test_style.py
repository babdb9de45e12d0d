"""`tricks_lib.plots.style`: the look of all figures."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tricks_lib.plots.style import COLORS, INK, Drawing, axes_of, figure, label, small_png


def drawn() -> Drawing:
    drawing, (axes,) = figure()
    axes.plot([0, 1, 2], [3, 1, 2], color=COLORS[0])
    label(axes, "step", "loss (nats)")
    return drawing


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2."""
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_there_are_ten_colors_from_blue_to_cyan() -> None:
    assert "".join(COLORS) == "#3f90da#ffa90e#bd1f01#94a4a2#832db6#a96b59#e76300#b9ac70#717581#92dadd"


def test_text_has_contrast_on_white() -> None:
    assert 1.05 / (luminance(INK) + 0.05) > 7


def test_a_figure_is_a_small_png_on_white() -> None:
    png = drawn()._repr_png_()
    assert len(png) < 20_000
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert 600 < image.width < 720 and 200 < image.height < 320
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        again = io.BytesIO()
        image.save(again, format="png", optimize=True)
        assert len(png) <= len(again.getvalue())


@pytest.mark.parametrize(("options", "colors"), [({}, 256), ({"colors": 9}, 9)])
def test_pictures_have_a_palette(options: dict[str, int], colors: int) -> None:
    drawing = Figure(figsize=(1, 1), dpi=64)
    drawing.figimage(np.random.default_rng(0).random((64, 64, 3)))
    with Image.open(io.BytesIO(small_png(drawing, **options))) as image:
        assert image.size == (64, 64) and len(image.convert("RGB").getcolors(64**2) or []) == colors


def test_the_same_figure_is_the_same_png() -> None:
    assert drawn()._repr_png_() == drawn()._repr_png_()


def test_the_line_keeps_its_color_in_the_png() -> None:
    with Image.open(io.BytesIO(drawn()._repr_png_())) as image:
        shown = {color for _, color in image.convert("RGB").getcolors(2**20) or []}
    wanted = tuple(int(COLORS[0][i : i + 2], 16) for i in (1, 3, 5))
    assert any(max(abs(a - b) for a, b in zip(color, wanted, strict=True)) <= 8 for color in shown)


def test_a_small_png_holds_all_on_white_and_is_as_large_as_the_figure_says() -> None:
    drawing, _ = figure(width=2.0, height=1.0)
    with matplotlib.rc_context({"savefig.dpi": 20, "savefig.facecolor": "red"}), Image.open(small(drawing)) as image:
        assert image.size == (220, 110) and image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    drawing.text(0.5, 1.5, "above")
    with Image.open(io.BytesIO(drawing._repr_png_())) as image:
        assert image.size[1] > 150, "what lies outside is kept"


def small(drawing: Drawing) -> io.BytesIO:
    return io.BytesIO(small_png(drawing))


def test_figures_have_the_style_and_leave_the_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    drawing, axes = figure(columns=3, height=1.5, width=5)
    assert dict(matplotlib.rcParams) == before
    assert isinstance(drawing, Drawing) and drawing.axes == axes and len(axes) == 3
    assert drawing.get_size_inches().tolist() == [5, 1.5]
    assert drawing.get_facecolor() == (1, 1, 1, 1)
    for panel in axes:
        assert not panel.spines["top"].get_visible() and panel.spines["left"].get_visible()
        assert matplotlib.colors.to_hex(panel.spines["left"].get_edgecolor()) == INK
        assert not panel.spines["right"].get_visible()
        name, *numbers = panel.xaxis.label, panel.get_xticklabels()[0], panel.get_yticklabels()[0]
        assert name.get_size() == 9 and {number.get_size() for number in numbers} == {8}
        assert {text.get_color() for text in (name, *numbers)} == {INK}
        for line in (*panel.get_xgridlines(), *panel.get_ygridlines()):
            assert line.get_visible() and 0 < line.get_linewidth() < 1 and line.get_alpha() < 0.5  # fainter than data


def test_axes_have_names() -> None:
    _, (axes,) = figure()
    label(axes, "step", "loss (nats)", "one run")
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "loss (nats)", "one run")
    label(axes, "step", "loss (nats)")
    assert axes.get_title() == ""


@pytest.mark.parametrize(("x", "y"), [("", "loss"), ("step", " ")])
def test_an_axis_without_a_name_is_refused(x: str, y: str) -> None:
    with pytest.raises(ValueError, match="x and y must name their axes, with units, got"):
        label(figure()[1][0], x, y)


def test_the_number_of_columns_is_checked() -> None:
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        figure(columns=0)


def test_figures_open_no_window() -> None:
    """``pyplot`` would choose a backend, keep every figure alive, and show figures twice in a notebook."""
    code = (
        "import sys, tricks_lib.plots.bands, tricks_lib.plots.embedding, tricks_lib.plots.images\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_axes_are_given_or_made() -> None:
    drawing, axes = axes_of(None, height=1.5)
    assert drawing.axes == [axes] and drawing.get_size_inches().tolist() == [6.4, 1.5]
    inner = Figure()
    part = inner.subfigures(1, 2)[0].subplots()
    assert axes_of(part) == (inner, part)  # what can be saved and shown: not the part


def test_axes_without_a_figure_are_refused() -> None:
    drawing, (axes,) = figure()
    assert axes_of(axes) == (drawing, axes)
    axes.remove()
    with pytest.raises(ValueError, match="ax must belong to a figure"):
        axes_of(axes)
