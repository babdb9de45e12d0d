"""A slider over precomputed figures that works without a network, from the keyboard, and as a still picture."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from tricks_lib.plots.style import INK, small_png

__all__ = ["FrameSlider"]

LIMIT = 200_000  # characters of HTML: a page holds several
SCRIPT = """
document.querySelectorAll(".tricks-slider:not([data-ready])").forEach(function (box) {
  var input = box.querySelector("input"), output = box.querySelector("output");
  var labels = JSON.parse(box.dataset.labels), frames = box.querySelectorAll("img");
  function show() {
    frames.forEach(function (frame, i) { frame.style.display = i == input.value ? "block" : "none"; });
    input.setAttribute("aria-valuetext", labels[input.value]);
    output.textContent = labels[input.value];
  }
  box.dataset.ready = "yes";
  box.querySelector("label").style.display = "block";
  input.addEventListener("input", show);
  show();
});
"""


class FrameSlider:
    """Figures of which a reader picks one with a slider; where no script runs, the middle one stands alone.

    As the last expression of a cell it is displayed: in JupyterLab and on the page with a native slider, which takes
    arrow keys, tells a screen reader the value and moves nothing by itself; in a PDF as the picture in the middle.
    Nothing is loaded from anywhere, and several of them may stand on one page.

    Parameters
    ----------
    frames
        Figures of one size, at least 2.
    labels
        What the slider says at each of them, such as ``"0.1"``; all different.
    alts
        For each, in words, what the figure shows.
    name
        What the slider changes, such as ``"learning rate"``.
    colors
        Size of the palette of each picture: fewer, fewer bytes.

    Raises
    ------
    ValueError
        If numbers do not match, words are missing, figures differ in size, or all together are too large for a page.

    Examples
    --------
    >>> from tricks_lib.plots.style import figure
    >>> frames = [figure(height=0.5, width=1)[0] for _ in range(3)]
    >>> FrameSlider(frames, ["0.1", "1", "10"], ["slow", "fast", "diverges"], name="learning rate")
    FrameSlider: learning rate, 0.1 to 10 in 3 frames. In the middle, 1: fast
    """

    def __init__(
        self, frames: Sequence[Figure], labels: Sequence[str], alts: Sequence[str], *, name: str, colors: int = 32
    ) -> None:
        if not len(frames) == len(labels) == len(alts) >= 2:
            raise ValueError(
                f"frames, labels and alts must be as many, at least 2, got {len(frames)}, {len(labels)}, {len(alts)}"
            )
        if not all(text.strip() for text in (name, *labels, *alts)):
            raise ValueError("name, labels and alts must not be blank: they are what a screen reader says")
        if len(set(labels)) < len(labels):
            raise ValueError(f"labels must be different, got {list(labels)}")
        self.labels, self.alts, self.name = list(labels), list(alts), name
        self._pictures = [small_png(frame, colors) for frame in frames]
        self._size, *others = sorted({Image.open(io.BytesIO(picture)).size for picture in self._pictures})
        if others:
            raise ValueError(f"frames must be of one size, got {[self._size, *others]} pixels")
        if len(self._repr_html_()) > LIMIT:
            raise ValueError(f"frames take {len(self._repr_html_()):,} characters, more than {LIMIT:,}: fewer, smaller")

    def __repr__(self) -> str:
        labels, middle = self.labels, self._middle
        frames = f"{labels[0]} to {labels[-1]} in {len(labels)} frames"
        return f"{type(self).__name__}: {self.name}, {frames}. In the middle, {labels[middle]}: {self.alts[middle]}"

    @property
    def _middle(self) -> int:
        return len(self.labels) // 2

    def _repr_png_(self) -> bytes:
        return self._pictures[self._middle]

    def _repr_html_(self) -> str:
        """Return markup in which a script, if it runs, turns the slider on.

        The class ``dark-light`` tells the book's theme that the pictures need no dimming in dark mode.
        """
        (width, height), middle, escape = self._size, self._middle, html.escape
        images = "".join(
            f'<img class="dark-light" src="data:image/png;base64,{base64.b64encode(png).decode()}" '
            f'alt="{escape(alt)}" width="{width}" '
            f'height="{height}" style="display:{"block" if i == middle else "none"};max-width:100%;height:auto">'
            for i, (png, alt) in enumerate(zip(self._pictures, self.alts, strict=True))
        )
        return (
            f'<div class="tricks-slider" role="group" aria-label="figure with a slider" '
            f'data-labels="{escape(json.dumps(self.labels))}" style="background:#fff;color:{INK};color-scheme:light;'
            f'box-sizing:border-box;max-width:{width}px;padding:6px">{images}'
            f'<label style="display:none;margin:6px 0 0">{escape(self.name)}'
            f'<input type="range" min="0" max="{len(self.labels) - 1}" step="1" value="{middle}" autocomplete="off" '
            f'aria-valuetext="{escape(self.labels[middle])}" style="display:block;width:100%;margin:6px 0"></label>'
            f'<div>{escape(self.name)}: <output aria-live="polite">{escape(self.labels[middle])}</output></div>'
            f"<script>{SCRIPT}</script></div>"
        )
