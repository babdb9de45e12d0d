"""`tricks_lib.plots.images`: grids of images, and pairs of mean and standard deviation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from torch import Tensor

from tests.plots.layout import boxes, overlap, size
from tricks_lib.plots.images import image_grid, mean_std_pair

IMAGES = torch.arange(1, 7 * 5 * 4 + 1, device="cpu").reshape(7, 5, 4)


def shown(drawing: Figure, panel: int = 0) -> NDArray[np.float64]:
    data = drawing.axes[panel].get_images()[0].get_array()
    assert data is not None
    return np.asarray(data)


def test_every_image_is_at_its_place() -> None:
    mosaic = shown(image_grid(IMAGES, columns=3))
    assert mosaic.shape == (3 * 5 + 2 * 3, 3 * 4 + 2 * 3)
    for n in range(7):
        top, left = n // 3 * 8, n % 3 * 7
        np.testing.assert_array_equal(mosaic[top : top + 5, left : left + 4], IMAGES[n].numpy())
    assert mosaic.sum() == IMAGES.sum()  # and the rest is ground


def test_a_channel_of_one_is_the_same() -> None:
    np.testing.assert_array_equal(shown(image_grid(IMAGES[:, None])), shown(image_grid(IMAGES)))


def test_ten_make_a_row_by_default_and_one_may_do() -> None:
    twelve = torch.ones(12, 5, 4)
    assert shown(image_grid(twelve)).shape == (2 * 5 + 3, 10 * 4 + 9 * 3)
    assert shown(image_grid(twelve, columns=1)).shape == (12 * 5 + 11 * 3, 4)


@pytest.mark.parametrize(("n", "columns"), [(1, 10), (7, 3), (12, 12), (9, 1)])
def test_images_are_about_half_an_inch_wide(n: int, columns: int) -> None:
    drawing = image_grid(torch.ones(n, 40, 28), columns=columns)
    (axes,) = drawing.axes
    width, height = size(axes)
    used, rows = min(n, columns), -(-n // columns)
    assert 0.45 < width / used < 0.6 and 0.65 < height / rows < 0.9
    np.testing.assert_allclose(drawing.get_size_inches(), (width, height), rtol=0.25)  # nothing else is there
    assert not axes.axison


@pytest.mark.parametrize("rows", [1, 4])
def test_flat_images_keep_some_height(rows: int) -> None:
    drawing = image_grid(torch.ones(rows, 1, 40), columns=1)
    assert 0.3 < drawing.get_figheight() / rows < 0.6 and size(drawing.axes[0])[0] > 0.45


def test_notes_cover_no_image() -> None:
    (axes,) = image_grid(torch.ones(6, 28, 20), notes="ABCDEF", columns=3).axes
    notes = boxes(axes.texts)
    corners = [(n // 3 * 38 + 7, n % 3 * 23) for n in range(6)]
    pixels = [axes.transData.transform([(left, top + 28), (left + 20, top)]) for top, left in corners]
    images = [Bbox(place / axes.figure.dpi) for place in pixels]
    assert not overlap(notes, images)
    for note, image in zip(notes, images, strict=True):
        assert image.x0 < note.x0 and note.x1 < image.x1 and 0 <= note.y0 - image.y1 < 0.05  # close above


def test_a_row_that_is_not_full_is_narrow() -> None:
    assert shown(image_grid(IMAGES[:2], columns=10)).shape == (5, 4 * 2 + 3)


def test_notes_stand_above_their_images() -> None:
    drawing = image_grid(IMAGES, notes=range(10, 17), columns=3)
    mosaic, texts = shown(drawing), drawing.axes[0].texts
    assert [text.get_text() for text in texts] == [str(n) for n in range(10, 17)]
    for n, text in enumerate(texts):
        x, y = text.get_position()
        top, left = round(y) + 1, round(x - 2)
        np.testing.assert_array_equal(mosaic[top : top + 5, left : left + 4], IMAGES[n].numpy())
        assert top >= 7 and not mosaic[top - 7 : top, left : left + 4].any()  # room for the note


def test_dark_is_ink_on_a_common_scale() -> None:
    picture = image_grid(IMAGES).axes[0].get_images()[0]
    assert picture.get_clim() == (0, IMAGES.max())
    assert image_grid(IMAGES[:1]).axes[0].get_images()[0].get_clim() == (0, IMAGES[0].max())
    assert picture.to_rgba(np.array([0.0]))[0, :3].min() == 1
    assert picture.to_rgba(np.array([float(IMAGES.max())]))[0, :3].max() == 0


@pytest.mark.parametrize(
    ("images", "notes", "columns", "message"),
    [
        (IMAGES[0], None, 3, r"images must have shape \(N, H, W\) or \(N, 1, H, W\), N >= 1, got \(5, 4\)"),
        (IMAGES[None], None, 3, r"got \(1, 7, 5, 4\)"),
        (IMAGES[:0], None, 3, r"got \(0, 5, 4\)"),
        (IMAGES, "abc", 3, "notes must have one text for each of 7 images, got 3"),
        (IMAGES, None, 0, "columns must be at least 1, got 0"),
    ],
)
def test_grids_are_checked(images: Tensor, notes: str | None, columns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_grid(images, notes, columns=columns)


@pytest.fixture(scope="module")
def pair() -> Figure:
    return mean_std_pair(IMAGES[1].float(), IMAGES[0].float(), unit="gray level")


def test_pairs_show_both_images_with_scales(pair: Figure) -> None:
    assert [panel.get_title() for panel in pair.axes[:2]] == ["mean", "standard deviation"]
    np.testing.assert_array_equal(shown(pair, 0), IMAGES[1].numpy())
    np.testing.assert_array_equal(shown(pair, 1), IMAGES[0].numpy())
    assert [panel.get_ylabel() for panel in pair.axes[2:]] == ["gray level", "gray level"]
    assert [panel.get_images()[0].get_clim() for panel in pair.axes[:2]] == [(0, 40), (0, 20)]
    assert not any(len(panel.get_xticks()) or len(panel.get_yticks()) for panel in pair.axes[:2])


def test_pairs_fill_their_figure_and_scales_have_small_letters(pair: Figure) -> None:
    for panel, scale in zip(pair.axes[:2], pair.axes[2:], strict=True):
        width, height = size(panel)
        assert 1.8 < height < 2.5 and height / width == pytest.approx(5 / 4) and height > 0.8 * pair.get_figheight()
        assert scale.get_yticklabels()[0].get_size() < scale.yaxis.label.get_size() == 9


def test_pairs_take_a_channel_and_other_titles() -> None:
    drawing = mean_std_pair(IMAGES[1][None], IMAGES[0][None], unit="u", titles=("a", "b"))
    assert [panel.get_title() for panel in drawing.axes[:2]] == ["a", "b"]


def test_pairs_have_two_titles() -> None:
    with pytest.raises(ValueError, match="titles must hold two texts, got 3"):
        mean_std_pair(IMAGES[0], IMAGES[1], unit="gray level", titles="abc")


def test_pairs_are_of_one_size() -> None:
    with pytest.raises(ValueError, match=r"mean and std must have one size, got \(5, 4\) and \(4, 5\)"):
        mean_std_pair(IMAGES[0], IMAGES[0].T, unit="gray level")


def test_images_may_be_anywhere_and_stay_as_they_are(device: torch.device) -> None:
    x = IMAGES.float().to(device)
    np.testing.assert_array_equal(shown(image_grid(x)), shown(image_grid(IMAGES)))
    np.testing.assert_array_equal(shown(mean_std_pair(x[0], x[1], unit="u"), 1), IMAGES[1].numpy())
    assert torch.equal(x.cpu(), IMAGES.float())
    leaf = IMAGES.float().requires_grad_()
    np.testing.assert_array_equal(shown(image_grid(leaf)), shown(image_grid(IMAGES)))
