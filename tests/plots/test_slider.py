"""`tricks_lib.plots.slider`: figures behind a slider."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image

from tricks_lib.plots import slider
from tricks_lib.plots.slider import FrameSlider

LABELS, ALTS = ["0.1", "1", "10"], ["creeps & crawls", 'falls "fast"', "diverges <up>"]


def frame(height: float = 1.0, width: float = 2.0, value: float = 1.0) -> Figure:
    drawing = Figure(figsize=(width, height), dpi=110)
    drawing.text(value / 9, 0.5, str(value))
    return drawing


def made(name: str = "learning rate", count: int = 3, **options: int) -> FrameSlider:
    frames = [frame(value=value) for value in range(count)]
    return FrameSlider(frames, [*LABELS, "100", "1000"][:count], [*ALTS, *ALTS][:count], name=name, **options)


def styles(tag: dict[str, str]) -> dict[str, str]:
    return dict(one.split(":") for one in tag["style"].split(";"))


class Elements(HTMLParser):
    """All elements with their attributes, and the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text, self.open = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {key: value or "" for key, value in attrs}))
        self.open = tag

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open != "script":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


def page() -> Elements:
    return Elements(made()._repr_html_())


def test_without_a_script_the_middle_picture_stands_alone_with_its_words() -> None:
    images = page().all("img")
    assert [image["alt"] for image in images] == ALTS
    assert [styles(image)["display"] for image in images] == ["none", "block", "none"]
    (label,) = page().all("label")
    assert styles(label)["display"] == "none"  # a slider that does nothing would mislead
    assert page().text == "learning rate" + "learning rate: 1"  # that of the slider, and the line below


@pytest.mark.parametrize(("count", "middle"), [(2, 1), (5, 2)])
def test_the_middle_of_any_number_of_frames(count: int, middle: int) -> None:
    one = made(count=count)
    shown = Elements(one._repr_html_())
    assert [styles(image)["display"] for image in shown.all("img")].index("block") == middle
    assert [(given["value"], given["max"]) for given in shown.all("input")] == [(str(middle), str(count - 1))]
    assert f"in {count} frames. In the middle, {one.labels[middle]}: {one.alts[middle]}" in repr(one)


def test_the_slider_is_native_labeled_and_told_to_screen_readers() -> None:
    (given,) = page().all("input")
    assert (given["type"], given["min"], given["max"], given["step"], given["value"]) == ("range", "0", "2", "1", "1")
    assert given["aria-valuetext"] == "1"
    names = [name for name, _ in page().found]
    assert names.index("label") < names.index("input")
    assert re.search(r"<label[^>]*>learning rate<input[^>]*></label>", made()._repr_html_())
    (output,) = page().all("output")
    assert output["aria-live"] == "polite"
    (box,) = (a for a in page().all("div") if a.get("class") == "tricks-slider")
    assert json.loads(box["data-labels"]) == LABELS


def test_it_loads_nothing_and_has_no_ids() -> None:
    text = made()._repr_html_()
    assert all(image["src"].startswith("data:image/png;base64,") for image in page().all("img"))
    assert "http" not in text and "url(" not in text and "import" not in text and "fetch" not in text
    assert not any("id" in attributes for _, attributes in page().found)  # so that two cannot share one
    assert not page().all("link")
    (script,) = page().all("script")
    assert not script


def test_nothing_moves_by_itself() -> None:
    assert not re.search(r"setInterval|setTimeout|requestAnimationFrame|animation|transition", made()._repr_html_())


def test_it_is_white_and_as_narrow_as_the_screen() -> None:
    (box,) = (a for a in page().all("div") if a.get("class") == "tricks-slider")
    looks = styles(box)
    assert (looks["background"], looks["color"], looks["max-width"]) == ("#fff", "#222222", "220px")
    assert all(image["class"] == "dark-light" for image in page().all("img"))  # no theme dims them
    for image in page().all("img"):
        assert (image["width"], image["height"]) == ("220", "110")
        assert (styles(image)["max-width"], styles(image)["height"]) == ("100%", "auto")


def test_pictures_are_the_figures() -> None:
    pictures = [base64.b64decode(image["src"].partition(",")[2]) for image in page().all("img")]
    assert len(set(pictures)) == 3
    with Image.open(io.BytesIO(pictures[0])) as image:
        assert image.size == (220, 110)
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert made()._repr_png_() == pictures[1]


@pytest.mark.parametrize(("options", "colors"), [({}, 32), ({"colors": 5}, 5)])
def test_pictures_have_few_colors(options: dict[str, int], colors: int) -> None:
    colorful = Figure(figsize=(1, 1), dpi=64)
    colorful.figimage(np.random.default_rng(0).random((64, 64, 3)))
    one = FrameSlider([colorful] * 2, ["a", "b"], ["A", "B"], name="n", **options)
    with Image.open(io.BytesIO(one._repr_png_())) as image:
        assert len(image.convert("RGB").getcolors() or []) == colors


def test_the_bundle_has_a_still_picture_and_words() -> None:
    shown: Any = DisplayFormatter().format(made())
    bundle, _ = shown
    assert bundle["image/png"] == made()._repr_png_()
    assert bundle["text/html"] == made()._repr_html_()
    assert bundle["text/plain"] == repr(made())
    assert repr(made()) == 'FrameSlider: learning rate, 0.1 to 10 in 3 frames. In the middle, 1: falls "fast"'


def test_it_comes_out_the_same_twice() -> None:
    assert made()._repr_html_() == made()._repr_html_()


def test_names_are_escaped() -> None:
    text = made(name='<b>"rate"</b>')._repr_html_()
    assert "<b>" not in text and "&lt;b&gt;" in text
    assert "diverges &lt;up&gt;" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a", "b"]}, "frames, labels and alts must be as many, at least 2, got 3, 2, 3"),
        ({"alts": ["a"]}, "got 3, 3, 1"),
        ({"frames": [frame()], "labels": ["a"], "alts": ["b"]}, "at least 2, got 1, 1, 1"),
        ({"alts": ["a", " ", "c"]}, "name, labels and alts must not be blank"),
        ({"labels": ["a", "", "c"]}, "must not be blank"),
        ({"name": ""}, "must not be blank"),
        ({"labels": ["a", "b", "a"]}, r"labels must be different, got \['a', 'b', 'a'\]"),
        (
            {"frames": [frame(), frame(), frame(height=2)]},
            r"frames must be of one size, got \[\(220, 110\), \(220, 220\)\]",
        ),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    given = {"frames": [frame(), frame(), frame()], "labels": LABELS, "alts": ALTS, "name": "rate"} | arguments
    with pytest.raises(ValueError, match=message):
        FrameSlider(**given)


def test_too_much_for_a_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(made()._repr_html_())
    monkeypatch.setattr(slider, "LIMIT", size)
    made()
    monkeypatch.setattr(slider, "LIMIT", size - 1)
    with pytest.raises(ValueError, match=f"frames take {size:,} characters, more than {size - 1:,}: fewer, smaller"):
        made()


NODE = shutil.which("node")
DOM = """
function element(more) { return Object.assign({style: {}, listeners: {}, attributes: {}, textContent: "",
  setAttribute(k, v) { this.attributes[k] = v; },
  addEventListener(k, f) { this.listeners[k] = f; this.heard = (this.heard || 0) + 1; }}, more); }
function box() {
  var parts = {input: element({value: "1"}), output: element(), label: element()};
  var frames = [element(), element(), element()];
  return {dataset: {labels: '["0.1", "1", "10"]'}, parts: parts, frames: frames,
    querySelector: function (tag) { return parts[tag]; }, querySelectorAll: function () { return frames; }};
}
var boxes = [box(), box()];
var document = {querySelectorAll: function (asked) {
  var all = asked == ".tricks-slider";
  if (!all && asked != ".tricks-slider:not([data-ready])") { throw asked; }
  return boxes.filter(function (b) { return all || !b.dataset.ready; });
}};
function run() { SCRIPT }
run(); run();
boxes[0].parts.input.value = "2";
boxes[0].parts.input.listeners.input();
console.log(JSON.stringify(boxes.map(function (b) { return [b.frames.map(function (f) { return f.style.display; }),
  b.parts.output.textContent, b.parts.input.attributes["aria-valuetext"], b.parts.label.style.display,
  b.parts.input.heard]; })));
"""


@pytest.mark.skipif(NODE is None, reason="no Node.js to run the script with")
def test_the_script_shows_the_chosen_frame_and_leaves_other_sliders_alone() -> None:
    _, script, _ = re.split("</?script>", made()._repr_html_())
    code = DOM.replace("SCRIPT", script)
    done = subprocess.run([str(NODE), "-e", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [
        [["none", "none", "block"], "10", "10", "block", 1],
        [["none", "block", "none"], "1", "1", "block", 1],
    ]
